"""Immutable artifact folders: written whole or not at all, named by what made them, verified when used."""

import logging
import os
import platform
import secrets
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
from storage.errors import ArtifactConflictError, ArtifactDamagedError, ArtifactError
from storage.files import fsync_path, sha256_file, writing_to

logger = logging.getLogger("marquee.artifacts")


class ArtifactRef(BaseModel):
    """A small JSON-serialisable name of one artifact; what tasks take and return."""

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
    """An artifact being written: files go below `path`, what is known of them into the other fields."""

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
        """The reference, once the enclosing `ArtifactStore.create` has ended well."""
        if self.ref is None:
            raise ArtifactError("the artifact is not committed yet: read the reference after the with-block.")
        return self.ref


class ArtifactStore:
    """The artifacts below one root folder, as `root/kind/digest/`; a pulled folder has this layout too."""

    def __init__(self, root: Path, depth: Depth = Depth.HASHES) -> None:
        self.root = root.absolute()
        self.depth = depth

    def folder(self, kind: str, digest: str) -> Path:
        """Where the artifact stands, or will."""
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
        """The whole, verified artifact, or None where it is missing or damaged (which is logged as a warning)."""
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
        """The folder behind a reference, cheaply re-checked (it was verified in full when it was found).

        Raises:
            ArtifactError: it is not in this store.
            ArtifactDamagedError: it is no longer the content the reference names.
        """
        folder = self.folder(ref.kind, ref.digest)
        manifest = read_manifest(folder)
        verify_files(folder, manifest, Depth.SIZES)
        if manifest.sha256 != ref.sha256:
            raise ArtifactDamagedError(
                f"{folder}: expected content {ref.sha256}; found {manifest.sha256}. Run the flow again to mend it."
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
                logger.warning("Passed over: %s", error)
        return found

    def select(self, kind: str, name: str = "latest") -> ArtifactRef:
        """An artifact of this store by digest prefix, or the newest of its kind for `latest`.

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
        """Copy an artifact's folder from elsewhere, such as one that was pulled, into this store, unless it is there.

        Raises:
            ArtifactError: it is none of this kind.
            ArtifactDamagedError: its bytes are not the ones its manifest names.
            ArtifactConflictError: this store has the same digest with other content.
        """
        manifest = read_manifest(folder)
        if manifest.recipe.kind != kind:
            raise ArtifactError(f"{folder}: expected an artifact of kind {kind}; found one of {manifest.recipe.kind}.")
        verify_files(folder, manifest)
        final = self.folder(kind, manifest.digest)
        known = self.find(kind, manifest.digest)
        if known is None:
            copy = final.with_name(f".draft.{manifest.digest}.{platform.node()}.{os.getpid()}.{secrets.token_hex(4)}")
            with writing_to(self.root):
                shutil.copytree(folder, copy)
                shutil.rmtree(final, ignore_errors=True)
                copy.rename(final)
                fsync_path(final.parent)
            known = self.ref(manifest)
        if known.sha256 != manifest.sha256:
            found = f"found {manifest.sha256}. Use a work directory of its own (MARQUEE_HOME)."
            raise ArtifactConflictError(f"{folder}: expected content {known.sha256}, which {final} has; {found}")
        return known

    @contextmanager
    def create(self, recipe: Recipe, inputs: Sequence[ArtifactRef] = ()) -> Iterator[Draft]:
        """Write an artifact: a draft folder is yielded; leaving the block commits it by an atomic rename.

        Licence notes and the mark of generated data are inherited from `inputs`. When two writers make the same
        artifact the second finds the first's and drops its own.

        Raises:
            StorageFullError, StorageUnwritableError: see `storage.files.writing_to`; nothing is left behind.
            ArtifactConflictError: another writer committed the same digest with different content meanwhile.
        """
        final = self.folder(recipe.kind, recipe.digest)
        owner = f"{platform.node()}.{os.getpid()}"
        with writing_to(final.parent):
            final.parent.mkdir(parents=True, exist_ok=True)
            _sweep_dead_drafts(final.parent)
            draft_path = final.parent / f".draft.{recipe.digest}.{owner}.{secrets.token_hex(4)}"
            draft_path.mkdir()
        draft = Draft(draft_path, recipe.digest)
        for manifest in map(self.manifest, inputs):
            draft.licences.extend(manifest.licences)
            draft.generated |= manifest.generated
        try:
            with writing_to(final.parent):
                yield draft
                draft.ref = self._commit(recipe, draft, final)
        finally:
            shutil.rmtree(draft_path, ignore_errors=True)

    def _commit(self, recipe: Recipe, draft: Draft, final: Path) -> ArtifactRef:
        paths = sorted(path for path in draft.path.rglob("*") if path.is_file())
        if not paths:
            raise ArtifactError(f"{recipe.kind}: expected at least one file in the artifact; none was written.")
        for path in paths:
            fsync_path(path)
        files = tuple(
            FileEntry(
                path=path.relative_to(draft.path).as_posix(),
                size_bytes=path.stat().st_size,
                sha256=sha256_file(path),
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
            damaged = final.with_name(f".draft.{final.name}.{platform.node()}.{os.getpid()}.damaged")
            final.rename(damaged)
            shutil.rmtree(damaged, ignore_errors=True)
        draft.path.rename(final)
        fsync_path(final.parent)
        return self.ref(manifest)


def _sweep_dead_drafts(folder: Path) -> None:
    """Remove drafts left by processes of this machine that no longer live (a SIGKILL runs no clean-up)."""
    for draft in folder.glob(f".draft.*.{platform.node()}.*"):
        pid = draft.name.rsplit(".", 2)[1]
        if pid.isdigit() and int(pid) != os.getpid() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(draft, ignore_errors=True)
