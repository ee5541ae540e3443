"""Find what is damaged or unfinished in a work directory or where artifacts are published, and repair it."""

import logging
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from storage.artifacts.aliases import read_alias
from storage.artifacts.manifest import MANIFEST, Manifest
from storage.artifacts.object_stores import ObjectStore, open_store
from storage.artifacts.object_stores.folder import LocalFolder
from storage.artifacts.published import file_key, published_manifest
from storage.artifacts.publishing import publish
from storage.artifacts.store import FOREIGN, ArtifactRef, ArtifactStore
from storage.drafts import abandoned_drafts, sweep_drafts
from storage.errors import ArtifactError
from storage.home import alone_in

logger = logging.getLogger("marquee.inspection")
ARTIFACTS, CHECKPOINTS, PUBLISHED, DAMAGED = "artifacts", "checkpoints", "published", "damaged"


@dataclass
class Finding:
    """Something that is not as it should be.

    Attributes:
        what: `damaged`: bytes are lost or changed; `left over`: a killed writer left it, and nothing needs it.
        where: its path or URI.
        detail: what was expected and found.
        repair: what was done about it; "" if nothing was.
    """

    what: Literal["damaged", "left over"]
    where: str
    detail: str
    repair: str = ""


@dataclass
class Inspection:
    """What was inspected.

    Attributes:
        whole: how many things are whole, by kind of artifact, `alias` or `checkpoint`.
        findings: what is not.
    """

    whole: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    @property
    def damaged(self) -> list[Finding]:
        """The damage that is not repaired."""
        return [one for one in self.findings if one.what == "damaged" and not one.repair]

    def add(self, other: "Inspection") -> None:
        """Add what another inspection found."""
        self.whole.update(other.whole)
        self.findings += other.findings


def inspect_home(folder: Path, repair: bool = False) -> Inspection:
    """Inspect a work directory: artifacts, foreign ones, checkpoints, drafts, and what is published in it.

    With `repair` damaged artifacts and checkpoints are moved to `damaged/`, so that they are made again, and what killed
    writers left is removed.

    Raises:
        HomeInUseError: `repair` is set and a command uses the work directory; nothing was changed.
    """
    if not folder.is_dir():
        return Inspection()
    if repair:
        with alone_in(folder):
            return _inspect_home(folder, folder / DAMAGED)
    return _inspect_home(folder, None)


def _inspect_home(folder: Path, aside: Path | None) -> Inspection:
    found = inspect_artifacts(ArtifactStore(folder / ARTIFACTS), aside)
    for root in sorted((folder / FOREIGN).glob("[!.]*")):
        found.add(inspect_artifacts(ArtifactStore(root), aside))
    found.add(inspect_checkpoints(folder / CHECKPOINTS, aside))
    if (folder / PUBLISHED).is_dir():
        own = ArtifactStore(folder / ARTIFACTS)
        found.add(inspect_published(open_store(str(folder / PUBLISHED)), own, repair=aside is not None, sweep=False))
    found.findings += left_over(folder, remove=aside is not None)
    return found


def inspect_artifacts(store: ArtifactStore, aside: Path | None) -> Inspection:
    """Verify every byte of every artifact of a store; damaged ones are moved into the folder `aside`, if one is given."""
    found = Inspection()
    for folder in sorted(path for path in store.root.glob("[!.]*/[!.]*") if path.is_dir()):
        kind, digest = folder.parent.name, folder.name
        try:
            store.verified(kind, digest)
        except ArtifactError as error:
            found.findings.append(Finding("damaged", str(folder), str(error), set_aside(folder, aside)))
        else:
            found.whole[kind] += 1
    return found


def inspect_checkpoints(folder: Path, aside: Path | None) -> Inspection:
    """Verify the checksum of every checkpoint; damaged ones are moved into the folder `aside`, if one is given."""
    found = Inspection()
    files = sorted(folder.glob("[!.]*/*.pt"))
    if not files:
        return found
    from storage.checkpoints import damage_of  # noqa: PLC0415 - PyTorch is slow to import

    for path in files:
        if (detail := damage_of(path)) is None:
            found.whole["checkpoint"] += 1
        else:
            found.findings.append(Finding("damaged", str(path), detail, set_aside(path, aside)))
    return found


def inspect_published(store: ObjectStore, own: ArtifactStore, *, repair: bool, sweep: bool = True) -> Inspection:
    """Verify every byte of every published artifact, and every alias.

    Args:
        store: where artifacts are published.
        own: the artifacts made here. With `repair` a whole copy here replaces what is damaged there.
        repair: whether to change anything.
        sweep: whether to look for what killed writers left in a folder.
    """
    found = Inspection()
    for kind, digest in published_artifacts(store):
        if (detail := damage_of_artifact(store, kind, digest)) is None:
            found.whole[kind] += 1
        else:
            done = published_again(store, own, kind, digest) if repair else ""
            found.findings.append(Finding("damaged", f"{store.uri}/artifacts/{kind}/{digest}", detail, done))
    for kind, name in aliases(store):
        if (detail := damage_of_alias(store, kind, name)) is None:
            found.whole["alias"] += 1
        else:
            found.findings.append(Finding("damaged", f"{store.uri}/aliases/{kind}/{name}.json", detail))
    if sweep and isinstance(store, LocalFolder):
        found.findings += left_over(store.root, remove=repair)
    return found


def published_artifacts(store: ObjectStore) -> Iterator[tuple[str, str]]:
    """Kind and digest of every published artifact."""
    for key in store.keys("artifacts/"):
        match key.split("/"):
            case [_, kind, digest, name] if name == MANIFEST:
                yield kind, digest


def aliases(store: ObjectStore) -> Iterator[tuple[str, str]]:
    """Kind and name of every alias."""
    for key in store.keys("aliases/"):
        match key.split("/"):
            case [_, kind, name] if name.endswith(".json"):
                yield kind, name.removesuffix(".json")


def damage_of_artifact(store: ObjectStore, kind: str, digest: str) -> str | None:
    """What is damaged in a published artifact; None if it is whole."""
    try:
        manifest = published_manifest(store, kind, digest)
    except ArtifactError as error:
        return str(error)
    if manifest is None:
        return "expected a manifest; found none"
    return damaged_files(store, manifest)


def damaged_files(store: ObjectStore, manifest: Manifest) -> str | None:
    """Which published files are damaged or missing; None if all are whole."""
    damaged = [
        entry.path
        for entry in manifest.files
        if not store.holds(file_key(manifest, entry.path), entry.size_bytes, entry.sha256)
    ]
    return (
        f"expected the bytes that the manifest names; found none, or others, of {', '.join(damaged)}"
        if damaged
        else None
    )


def damage_of_alias(store: ObjectStore, kind: str, name: str) -> str | None:
    """Why an alias cannot be followed; None if it can."""
    try:
        named = read_alias(store, kind, name)
        manifest = published_manifest(store, kind, named[0].digest) if named else None
    except ArtifactError as error:
        return str(error)
    if named and (manifest is None or manifest.sha256 != named[0].sha256):
        return f"expected {kind}/{named[0].digest} as it was published; found other content, or none"
    return None


def published_again(store: ObjectStore, own: ArtifactStore, kind: str, digest: str) -> str:
    """Publish an artifact again from a whole copy in this work directory; returns what was done, "" if nothing could be."""
    for copy in copies(store, own, kind, digest):
        try:
            publish(store, own, copy)
        except ArtifactError as error:
            logger.warning("%s/%s: %s", kind, digest, error)
            continue
        if damage_of_artifact(store, kind, digest) is None:
            return "published again from this work directory"
    return ""


def copies(store: ObjectStore, own: ArtifactStore, kind: str, digest: str) -> list[ArtifactRef]:
    """Whole copies of a published artifact: made here, or fetched from there earlier."""
    found = (own.find(kind, digest), own.foreign(store.uri).find(kind, digest))
    return [ref for ref in found if ref is not None]


def left_over(folder: Path, *, remove: bool) -> list[Finding]:
    """What killed writers left below a folder; it is removed on request."""
    found = []
    for draft in abandoned_drafts(folder):
        if remove:
            sweep_drafts(draft.parent)
        done = "removed" if remove and not draft.exists() else ""
        found.append(Finding("left over", str(draft), "its writer has ended", done))
    return found


def set_aside(path: Path, aside: Path | None) -> str:
    """Move something damaged into the folder `aside`; returns what was done, "" if there is no such folder."""
    if aside is None:
        return ""
    aside.mkdir(exist_ok=True)
    target = aside / f"{path.parent.name}-{path.name}-{secrets.token_hex(4)}"
    path.rename(target)
    return f"moved to {target}"
