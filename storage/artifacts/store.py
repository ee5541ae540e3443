"""Immutable artifact folders: written completely or not at all, named by their recipe, verified when they are used."""

import hashlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from storage.artifacts.manifest import (
    MANIFEST,
    MEASURED,
    Depth,
    Digest,
    FileEntry,
    KindName,
    Manifest,
    Recipe,
    Sha256,
    content_sha256,
    package_versions,
    read_manifest,
    verify_files,
)
from storage.drafts import draft_beside
from storage.errors import ArtifactConflictError, ArtifactDamagedError, ArtifactError
from storage.files import fsync_path, remove_folder, rename_folder, sha256_file, writing_to
from storage.home import home

logger = logging.getLogger("marquee.artifacts")
FOREIGN = "foreign"  # the folder beside artifacts/ for what was made elsewhere


class ArtifactRef(BaseModel):
    """A reference to one artifact, small enough to be a task's argument or result in JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: KindName
    digest: Digest
    uri: str
    sha256: Sha256
    size_bytes: int
    rows: int
    schema_version: int
    origin: str | None = None  # where a foreign artifact came from, as a URI; None: it was made in this work directory

    @property
    def name_as_input(self) -> str:
        """What names it in a recipe: the digest, or for a foreign artifact the SHA-256 of its content."""
        return self.digest if self.origin is None else self.sha256


@dataclass
class Draft:
    """An artifact that is being written: files go into the folder `path`, facts about them into the other fields."""

    path: Path
    digest: str
    rows: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    licences: list[str] = field(default_factory=list)
    generated: bool = False
    ref: ArtifactRef | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def committed(self) -> ArtifactRef:
        """The reference to the finished artifact.

        Raises:
            ArtifactError: the block of `ArtifactStore.create` has not ended yet.
        """
        if self.ref is None:
            raise ArtifactError(
                "expected a finished artifact; found one that is being written. Read the reference after the with-block."
            )
        return self.ref


class ArtifactStore:
    """The artifacts in one folder, as `root/kind/digest/`; `marquee pull` makes the same layout.

    A store of own artifacts is a cache: what is in it is not made again. Foreign artifacts, which other machines made, are
    in stores of their own, because a digest names a recipe and proves nothing about the content.

    Args:
        root: the folder; it is made when the first artifact is written.
        depth: how `find` verifies an artifact.
        origin: the URI that foreign artifacts come from; None: the artifacts are made here.

    Raises:
        ArtifactError: foreign artifacts would be put among this work directory's own.
    """

    def __init__(self, root: Path, depth: Depth = Depth.HASHES, origin: str | None = None) -> None:
        self.root = root.absolute()
        self.depth = depth
        self.origin = origin
        if origin is not None and self.root.is_relative_to(home() / "artifacts"):
            raise ArtifactError(
                f"{self.root}: expected another folder for artifacts from {origin}; found the one of those that were made "
                "here, which are used again without a question. Give another folder."
            )

    def foreign(self, origin: str) -> "ArtifactStore":
        """The store beside this one for artifacts that come from `origin`, a URI."""
        name = hashlib.sha256(origin.encode()).hexdigest()[:16]
        return ArtifactStore(self.root.parent / FOREIGN / name, self.depth, origin)

    def folder(self, kind: str, digest: str) -> Path:
        """The folder of an artifact of this store, which need not exist."""
        return self.root / kind / digest

    def folder_of(self, ref: ArtifactRef) -> Path:
        """The folder that a reference names: in this store, or in the store of what came from its origin."""
        home = self if ref.origin in (None, self.origin) else self.foreign(ref.origin)
        return home.folder(ref.kind, ref.digest)

    def manifest(self, ref: ArtifactRef) -> Manifest:
        """The manifest behind a reference."""
        return read_manifest(self.folder_of(ref))

    def ref(self, manifest: Manifest) -> ArtifactRef:
        """The reference to an artifact of this store, from its manifest."""
        return ArtifactRef(
            kind=manifest.recipe.kind,
            digest=manifest.digest,
            uri=self.folder(manifest.recipe.kind, manifest.digest).as_uri(),
            sha256=manifest.sha256,
            size_bytes=manifest.size_bytes,
            rows=manifest.rows,
            schema_version=manifest.recipe.schema_version,
            origin=self.origin,
        )

    def find(self, kind: str, digest: str) -> ArtifactRef | None:
        """A verified artifact, or None if it is missing or damaged; damage is logged as a warning."""
        folder = self.folder(kind, digest)
        if not folder.exists():
            return None
        try:
            manifest = self.verified(kind, digest)
        except ArtifactError as error:
            logger.warning("Artifact %s/%s is damaged and will be made again: %s", kind, digest, error)
            return None
        with suppress(OSError):  # a folder that only others may write
            os.utime(folder / MANIFEST)  # the time of the last use, by which `marquee gc` goes
        return self.ref(manifest)

    def verified(self, kind: str, digest: str) -> Manifest:
        """The manifest of an artifact, whose files are verified as deeply as this store does.

        Raises:
            ArtifactError: it is not in this store.
            ArtifactDamagedError: its manifest or a file is damaged.
        """
        manifest = self._manifest_in(self.folder(kind, digest))
        verify_files(self.folder(kind, digest), manifest, self.depth)
        return manifest

    def same_as(self, manifest: Manifest) -> ArtifactRef | None:
        """The verified artifact of this store with the digest and the content of a manifest, or None."""
        found = self.find(manifest.recipe.kind, manifest.digest)
        return found if found is not None and found.sha256 == manifest.sha256 else None

    def open(self, ref: ArtifactRef) -> Path:
        """The folder of an artifact, after a check of its sizes; its bytes were verified when it was found.

        Raises:
            ArtifactError: it is not in this store.
            ArtifactDamagedError: it is no longer the content the reference names.
        """
        folder = self.folder_of(ref)
        manifest = self._manifest_in(folder)
        verify_files(folder, manifest, Depth.SIZES)
        if manifest.sha256 != ref.sha256:
            raise ArtifactDamagedError(
                f"{folder}: expected content {ref.sha256}; found {manifest.sha256}. Run the flow again to make it again."
            )
        return folder

    def manifests(self, kind: str) -> list[Manifest]:
        """The readable manifests of all artifacts of a kind, the newest first."""
        found = []
        for path in sorted((self.root / kind).glob(f"*/{MANIFEST}")):
            if path.parent.name.startswith("."):
                continue
            try:
                found.append(self._manifest_in(path.parent))
            except ArtifactError as error:
                logger.warning("Skipped a damaged artifact: %s", error)
        return sorted(found, key=lambda manifest: manifest.created_at, reverse=True)

    def select(self, kind: str, name: str = "latest") -> ArtifactRef:
        """An artifact by the first digits of its digest, or the newest one of its kind for `latest`.

        Raises:
            ArtifactError: none or several match.
        """
        found = [manifest for manifest in self.manifests(kind) if name == "latest" or manifest.digest.startswith(name)]
        if not found or (len(found) > 1 and name != "latest"):
            raise ArtifactError(
                f"{self.root}: expected one {kind} artifact named {name!r}; found {len(found)}. "
                "Give more digits of its digest, or make it first."
            )
        return self.ref(found[0])

    def _manifest_in(self, folder: Path) -> Manifest:
        """The manifest of a folder, which must be named by it.

        Raises:
            ArtifactError, ArtifactDamagedError: see `read_manifest`; or it is the manifest of another artifact.
        """
        manifest = read_manifest(folder)
        if (manifest.recipe.kind, manifest.digest) != (folder.parent.name, folder.name):
            raise ArtifactDamagedError(
                f"{folder}: expected the manifest of {folder.parent.name}/{folder.name}; found that of "
                f"{manifest.recipe.kind}/{manifest.digest}. Make the artifact again."
            )
        return manifest

    @contextmanager
    def create(self, recipe: Recipe, inputs: Sequence[ArtifactRef] = ()) -> Iterator[Draft]:
        """Write an artifact: yield a draft, and rename its folder to the final name when the block ends.

        Licence notes and the flag of generated data are inherited from `inputs`. If two writers make the same artifact,
        the second one discards its own.

        Raises:
            StorageFullError, StorageUnwritableError: see `storage.files.writing_to`; nothing is left behind.
            ArtifactConflictError: another writer has made the same digest with different content meanwhile.
        """
        final = self.folder(recipe.kind, recipe.digest)
        with writing_to(final.parent), draft_beside(final) as path:
            path.mkdir()
            draft = Draft(path, recipe.digest)
            for manifest in map(self.manifest, inputs):
                draft.licences.extend(manifest.licences)
                draft.generated |= manifest.generated
            yield draft
            draft.ref = self._commit(recipe, draft, final)

    def _later_than_all(self, kind: str) -> str:
        """The present time; if the clock was set back, a time after the newest artifact's: `latest` goes by it."""
        times = [datetime.fromisoformat(manifest.created_at) for manifest in self.manifests(kind)]
        now = datetime.now(UTC)
        return max([now, *(time + timedelta(microseconds=1) for time in times)]).isoformat(timespec="microseconds")

    def _commit(self, recipe: Recipe, draft: Draft, final: Path) -> ArtifactRef:
        paths = sorted(path for path in draft.path.rglob("*") if path.is_file())
        if not paths:
            raise ArtifactError(f"{recipe.kind}: expected at least one file in the artifact; found none.")
        for path in paths:
            fsync_path(path)
        files = tuple(
            FileEntry(
                path=path.relative_to(draft.path).as_posix(), size_bytes=path.stat().st_size, sha256=sha256_file(path)
            )
            for path in paths
        )
        manifest = Manifest(
            digest=recipe.digest,
            recipe=recipe,
            files=files,
            sha256=content_sha256(files),
            rows=draft.rows,
            facts=draft.facts,
            licences=tuple(dict.fromkeys(draft.licences)),
            generated=draft.generated,
            versions=package_versions(),
            created_at=self._later_than_all(recipe.kind),
            seconds=round(time.monotonic() - draft.began, 3),
        )
        (draft.path / MANIFEST).write_bytes(manifest.to_json())
        fsync_path(draft.path / MANIFEST)
        for folder in (draft.path, *(path for path in draft.path.rglob("*") if path.is_dir())):
            fsync_path(folder)
        while not rename_folder(draft.path, final):
            first = self.find(recipe.kind, recipe.digest)
            if first is not None and (first.sha256 == manifest.sha256 or recipe.kind in MEASURED):
                return first
            if first is not None:
                raise ArtifactConflictError(
                    f"{final}: expected content {manifest.sha256}, found {first.sha256} made meanwhile from the same "
                    "recipe. The step is not deterministic on this machine: keep one of the two, remove the other."
                )
            remove_folder(final)
        return self.ref(manifest)
