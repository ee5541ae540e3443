"""Immutable artifact folders: written completely or not at all, named by their recipe, verified when they are used."""

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from storage.artifacts.manifest import (
    MANIFEST,
    MEASURED,
    Depth,
    FileEntry,
    Manifest,
    Recipe,
    content_sha256,
    package_versions,
    read_manifest,
    verify_files,
)
from storage.drafts import draft_beside
from storage.errors import ArtifactConflictError, ArtifactDamagedError, ArtifactError
from storage.files import fsync_path, sha256_file, writing_to

logger = logging.getLogger("marquee.artifacts")


class ArtifactRef(BaseModel):
    """A reference to one artifact, small enough to be a task's argument or result in JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    digest: str
    uri: str
    sha256: str
    size_bytes: int
    rows: int
    schema_version: int


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

    Args:
        root: the folder; it is made when the first artifact is written.
        depth: how `find` verifies an artifact.
    """

    def __init__(self, root: Path, depth: Depth = Depth.HASHES) -> None:
        self.root = root.absolute()
        self.depth = depth

    def folder(self, kind: str, digest: str) -> Path:
        """The folder of an artifact, which need not exist."""
        return self.root / kind / digest

    def manifest(self, ref: ArtifactRef) -> Manifest:
        """The manifest behind a reference."""
        return read_manifest(self.folder(ref.kind, ref.digest))

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
        )

    def find(self, kind: str, digest: str) -> ArtifactRef | None:
        """A verified artifact, or None if it is missing or damaged; damage is logged as a warning."""
        folder = self.folder(kind, digest)
        if not folder.exists():
            return None
        try:
            manifest = read_manifest(folder)
            verify_files(folder, manifest, self.depth)
        except ArtifactError as error:
            logger.warning("Artifact %s/%s is damaged and will be made again: %s", kind, digest, error)
            return None
        return self.ref(manifest)

    def open(self, ref: ArtifactRef) -> Path:
        """The folder of an artifact, after a check of its sizes; its bytes were verified when it was found.

        Raises:
            ArtifactError: it is not in this store.
            ArtifactDamagedError: it is no longer the content the reference names.
        """
        folder = self.folder(ref.kind, ref.digest)
        manifest = read_manifest(folder)
        verify_files(folder, manifest, Depth.SIZES)
        if manifest.sha256 != ref.sha256:
            raise ArtifactDamagedError(
                f"{folder}: expected content {ref.sha256}; found {manifest.sha256}. Run the flow again to make it again."
            )
        return folder

    def manifests(self, kind: str) -> list[Manifest]:
        """The readable manifests of all artifacts of a kind."""
        found = []
        for path in sorted((self.root / kind).glob(f"*/{MANIFEST}")):
            if path.parent.name.startswith("."):
                continue
            try:
                found.append(read_manifest(path.parent))
            except ArtifactDamagedError as error:
                logger.warning("Skipped a damaged artifact: %s", error)
        return found

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
        return self.ref(max(found, key=lambda manifest: manifest.created_at))

    def take_in(self, folder: Path, kind: str) -> ArtifactRef:
        """Copy an artifact from elsewhere, such as a pulled one, into this store, unless it is there.

        Raises:
            ArtifactError: it has another kind.
            ArtifactDamagedError: its bytes are not the ones its manifest names.
            ArtifactConflictError: this store has the same digest with other content.
        """
        manifest = read_manifest(folder)
        if manifest.recipe.kind != kind:
            raise ArtifactError(
                f"{folder}: expected an artifact of kind {kind}; found {manifest.recipe.kind}. Give another folder."
            )
        verify_files(folder, manifest)
        final = self.folder(kind, manifest.digest)
        known = self.find(kind, manifest.digest)
        if known is None:
            with writing_to(self.root), draft_beside(final) as copy:
                shutil.copytree(folder, copy)
                shutil.rmtree(final, ignore_errors=True)
                copy.rename(final)
                fsync_path(final.parent)
            known = self.ref(manifest)
        if known.sha256 != manifest.sha256:
            raise ArtifactConflictError(
                f"{folder}: expected content {known.sha256}, as in {final}; found {manifest.sha256}. "
                "Use another work directory for it (MARQUEE_HOME)."
            )
        return known

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
            created_at=datetime.now(UTC).isoformat(timespec="microseconds"),
            seconds=round(time.monotonic() - draft.began, 3),
        )
        (draft.path / MANIFEST).write_text(manifest.model_dump_json(indent=2))
        fsync_path(draft.path / MANIFEST)
        for folder in (draft.path, *(path for path in draft.path.rglob("*") if path.is_dir())):
            fsync_path(folder)
        if final.exists():
            first = self.find(recipe.kind, recipe.digest)
            if first is not None and (first.sha256 == manifest.sha256 or recipe.kind in MEASURED):
                return first
            if first is not None:
                raise ArtifactConflictError(
                    f"{final}: expected content {manifest.sha256}, found {first.sha256} made meanwhile from the same "
                    "recipe. The step is not deterministic on this machine: keep one of the two, remove the other."
                )
            with draft_beside(final) as damaged:
                final.rename(damaged)
        draft.path.rename(final)
        fsync_path(final.parent)
        return self.ref(manifest)
