"""Find and remove what a work directory no longer needs."""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storage.artifacts.aliases import read_alias
from storage.artifacts.inspection import ARTIFACTS, CHECKPOINTS, DAMAGED, aliases
from storage.artifacts.manifest import MANIFEST, Depth, Manifest
from storage.artifacts.object_stores import ObjectStore
from storage.artifacts.store import FOREIGN, ArtifactStore
from storage.drafts import abandoned_drafts, sweep_drafts
from storage.errors import ArtifactError
from storage.files import remove_folder
from storage.home import alone_in
from storage.sources.web.response_cache import ResponseCache

DAY_SECONDS = 86_400.0
RESPONSES, SCRATCH = "responses", "scratch"


@dataclass(frozen=True)
class Unneeded:
    """Something in a work directory that is not needed.

    Attributes:
        what: an artifact's kind, or what else it is.
        path: a file or a folder.
        size_bytes: of all files in it.
        days: since it was used last.
        why: it is not needed.
    """

    what: str
    path: Path
    size_bytes: int
    days: float
    why: str


def collect(folder: Path, published: ObjectStore, keep_days: float, delete: bool = False) -> list[Unneeded]:
    """Find what a work directory does not need, and remove it on request.

    Needed are artifacts that an alias names, that were used in the last `keep_days` days, and all inputs of needed ones;
    checkpoints of trainings that may be continued; answers of web services that have not expired; and whatever else was
    changed in that time.

    Args:
        folder: the work directory.
        published: where its artifacts are published; its aliases count.
        keep_days: for how many days after its last use something is kept.
        delete: whether to remove what is found.

    Raises:
        HomeInUseError: `delete` is set and a command uses the work directory; nothing was removed.
        ObjectStoreError, ArtifactDamagedError: the aliases cannot be read; nothing was removed.
    """
    if not folder.is_dir():
        return []
    if not delete:
        return list(unneeded(folder, published, keep_days))
    with alone_in(folder):
        found = list(unneeded(folder, published, keep_days))
        for one in found:
            remove(one.path)
    return found


def remove(path: Path) -> None:
    """Remove a file or a folder; readers see all of it or nothing."""
    if path.name.startswith(".draft."):
        sweep_drafts(path.parent)
    elif path.is_dir():
        remove_folder(path)
        with suppress(OSError):  # other things are in it
            path.parent.rmdir()
    else:
        path.unlink(missing_ok=True)


def unneeded(folder: Path, published: ObjectStore, keep_days: float) -> Iterator[Unneeded]:
    """What `collect` removes; see there."""
    yield from unneeded_artifacts(folder, published, keep_days)
    yield from finished_checkpoints(folder, keep_days)
    for service in sorted((folder / RESPONSES).glob("[!.]*")):
        for path in ResponseCache(service).expired():
            yield described("answer of a web service", path, "expired")
    for what, place in (("scratch", SCRATCH), ("set aside as damaged", DAMAGED)):
        for path in sorted((folder / place).glob("[!.]*")):
            yield from old(what, path, keep_days)
    for path in sorted((folder / FOREIGN).glob("*/*/.pull.*")):
        yield from old("interrupted pull", path, keep_days)
    for draft in abandoned_drafts(folder):
        yield described("draft", draft, "its writer has ended")


def unneeded_artifacts(folder: Path, published: ObjectStore, keep_days: float) -> Iterator[Unneeded]:
    """Artifacts, own and foreign, that no alias, no recent use and no needed artifact's inputs name."""
    stored = {path: manifest for root in stores(folder) for path, manifest in artifacts_in(root)}
    # A recipe names own inputs by digest and foreign ones by the SHA-256 of their content.
    by_name: dict[str, list[Path]] = {}
    for path, manifest in stored.items():
        own = path.is_relative_to(folder / ARTIFACTS)
        by_name.setdefault(manifest.digest if own else manifest.sha256, []).append(path)
    aliased = named_by_aliases(published)
    needed: set[Path] = set()
    waiting = [
        path
        for path, manifest in stored.items()
        if manifest.digest in aliased or days_since(path / MANIFEST) < keep_days
    ]
    while waiting:
        path = waiting.pop()
        if path not in needed:
            needed.add(path)
            waiting += [one for name in stored[path].recipe.inputs.values() for one in by_name.get(name, [])]
    for path, manifest in sorted(stored.items()):
        if path not in needed:
            kind = (
                manifest.recipe.kind if path.is_relative_to(folder / ARTIFACTS) else f"foreign {manifest.recipe.kind}"
            )
            yield Unneeded(
                kind, path, manifest.size_bytes, days_since(path / MANIFEST), "no alias or recent run needs it"
            )


def stores(folder: Path) -> Iterator[ArtifactStore]:
    """The store of own artifacts of a work directory, and those of foreign ones."""
    yield ArtifactStore(folder / ARTIFACTS)
    for root in sorted((folder / FOREIGN).glob("[!.]*")):
        yield ArtifactStore(root)


def artifacts_in(store: ArtifactStore) -> Iterator[tuple[Path, Manifest]]:
    """The folders and manifests of a store's artifacts; those with a damaged manifest are left to `marquee fsck`."""
    for kind in sorted(store.root.glob("[!.]*")):
        for manifest in store.manifests(kind.name):
            yield store.folder(kind.name, manifest.digest), manifest


def named_by_aliases(published: ObjectStore) -> set[str]:
    """The digests that aliases name, and those to which a rollback would go."""
    found = set()
    for kind, name in aliases(published):
        alias = read_alias(published, kind, name)
        if alias is not None:
            found.add(alias[0].digest)
            if (target := alias[0].rollback_target) is not None:
                found.add(target.digest)
    return found


def finished_checkpoints(folder: Path, keep_days: float) -> Iterator[Unneeded]:
    """Checkpoints of trainings whose policy is made, or that nobody continued for some days."""
    own = ArtifactStore(folder / ARTIFACTS, Depth.SIZES)
    for path in sorted((folder / CHECKPOINTS).glob("[!.]*")):
        try:
            own.verified("policy", path.name)
        except ArtifactError:
            yield from old("checkpoints", path, keep_days)
        else:
            yield described("checkpoints", path, "the policy is made")


def old(what: str, path: Path, keep_days: float) -> Iterator[Unneeded]:
    """The path, if nothing in it was changed for some days."""
    found = described(what, path, f"unchanged for {keep_days:g} days")
    if found.days >= keep_days:
        yield found


def described(what: str, path: Path, why: str) -> Unneeded:
    """A path with its size and age."""
    files = [one for one in (path, *path.rglob("*")) if not one.is_dir()] if path.is_dir() else [path]
    days = min(map(days_since, [path, *files]))
    return Unneeded(what, path, sum(map(size_of, files)), days, why)


def days_since(path: Path) -> float:
    """Days since a file was changed; 0 if it is gone."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime) / DAY_SECONDS
    except FileNotFoundError:
        return 0.0


def size_of(path: Path) -> int:
    """The size of a file in bytes; 0 if it is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def total(found: Iterable[Unneeded]) -> int:
    """The size of all that was found, in bytes."""
    return sum(one.size_bytes for one in found)
