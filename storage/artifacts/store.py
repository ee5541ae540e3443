"""Immutable artifact folders: written whole or not at all, named by what made them, verified when used."""

import hashlib
import json
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
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from storage.errors import ArtifactConflictError, ArtifactDamagedError, ArtifactError
from storage.files import fsync_path, sha256_file, writing_to

logger = logging.getLogger("marquee.artifacts")

MANIFEST = "manifest.json"
MEASURED = ("report",)  # kinds that hold measured times: of two with one digest the first stands
PACKAGES = ("marquee", "numpy", "pandas", "pyarrow", "h5py", "torch", "transformers", "scikit-learn", "prefect")


class Depth(IntEnum):
    """How closely an artifact is looked at before it is used."""

    MANIFEST = 0
    SIZES = 1
    HASHES = 2


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


class Recipe(BaseModel):
    """Everything an artifact is a function of; two equal recipes name the same artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    schema_version: int
    parameters: dict[str, Any]
    inputs: dict[str, str]
    code: str

    @property
    def digest(self) -> str:
        """First 32 hex digits of the SHA-256 of the canonical JSON of this recipe."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]


class FileEntry(BaseModel):
    """One file of an artifact, its path relative to the artifact's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size_bytes: int
    sha256: str


class Manifest(BaseModel):
    """The one file that answers "what produced this, from what, and is it whole?"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["marquee-artifact/1"] = "marquee-artifact/1"
    digest: str
    recipe: Recipe
    files: tuple[FileEntry, ...]
    sha256: str
    rows: int
    facts: dict[str, Any]
    licences: tuple[str, ...]
    generated: bool
    versions: dict[str, str]
    created_at: str
    seconds: float  # wall time from draft to commit

    @property
    def size_bytes(self) -> int:
        """Sum of the sizes of all files, in bytes."""
        return sum(entry.size_bytes for entry in self.files)

    @classmethod
    def parse(cls, data: bytes, where: str) -> Self:
        """A manifest from its JSON, checked against itself.

        Raises:
            ArtifactDamagedError: it is torn, foreign or contradicts itself.
        """
        try:
            manifest = cls.model_validate_json(data)
        except ValueError as error:
            raise ArtifactDamagedError(
                f"{where}: expected a marquee-artifact/1 manifest; it does not parse."
            ) from error
        return manifest.check_itself(where)

    def check_itself(self, where: str) -> Self:
        """Refuse a manifest whose digest or content hash does not follow from what it says.

        Raises:
            ArtifactDamagedError: the digest, the content hash or a path in it is not genuine.
        """
        if self.digest != self.recipe.digest:
            raise ArtifactDamagedError(f"{where}: expected digest {self.recipe.digest}; found {self.digest}.")
        if self.sha256 != content_sha256(self.files):
            raise ArtifactDamagedError(f"{where}: the content hash does not follow from the files it lists.")
        for entry in self.files:
            if Path(entry.path).is_absolute() or ".." in Path(entry.path).parts:
                raise ArtifactDamagedError(f"{where}: {entry.path!r} points outside the artifact's folder.")
        return self


def content_sha256(files: Sequence[FileEntry]) -> str:
    """Hash of an artifact's content: of its sorted file names and their SHA-256, no timestamps."""
    lines = "".join(f"{entry.sha256}  {entry.path}\n" for entry in sorted(files, key=lambda entry: entry.path))
    return hashlib.sha256(lines.encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Parse and check `folder/manifest.json`.

    Raises:
        ArtifactError: there is no manifest.
        ArtifactDamagedError: it is torn, foreign or contradicts itself.
    """
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder}: expected an artifact; found no {MANIFEST}.") from error
    return Manifest.parse(text, str(path))


def verify_files(folder: Path, manifest: Manifest, depth: Depth = Depth.HASHES) -> None:
    """Compare the files of `folder` with its manifest.

    Raises:
        ArtifactDamagedError: a file is missing, has another size or (at `Depth.HASHES`) other bytes.
    """
    if depth < Depth.SIZES:
        return
    for entry in manifest.files:
        path = folder / entry.path
        size = path.stat().st_size if path.is_file() else None
        if size != entry.size_bytes:
            found = "no file" if size is None else f"{size} bytes"
            raise ArtifactDamagedError(f"{path}: expected {entry.size_bytes} bytes; found {found}.")
        if depth >= Depth.HASHES and sha256_file(path) != entry.sha256:
            raise ArtifactDamagedError(f"{path}: expected sha256 {entry.sha256}; the bytes are others.")


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


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape the bytes of artifacts."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
