"""The manifest of an artifact: what made it, from what, which files it has, and whether they are whole."""

import hashlib
import json
import platform
from collections.abc import Sequence
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from storage.errors import ArtifactDamagedError, ArtifactError
from storage.files import sha256_file

MANIFEST = "manifest.json"
MEASURED = ("report",)  # kinds with measured times in them: if two have the same digest, the first is kept
PACKAGES = ("marquee", "numpy", "pandas", "pyarrow", "h5py", "torch", "transformers", "scikit-learn", "prefect")


class Depth(IntEnum):
    """How an artifact is verified before it is used; each level includes those before it."""

    MANIFEST = 0
    SIZES = 1
    HASHES = 2


class Recipe(BaseModel):
    """Everything that determines an artifact; equal recipes name the same artifact."""

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
    """One file of an artifact; its path is relative to the artifact's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size_bytes: int
    sha256: str


class Manifest(BaseModel):
    """What produced an artifact, from which inputs, and which files it consists of."""

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
        """Read a manifest from JSON; its hashes must match its recipe and files, and all paths must stay in the folder.

        Raises:
            ArtifactDamagedError: it is incomplete, has another format, or is not consistent.
        """
        try:
            manifest = cls.model_validate_json(data)
        except ValueError as error:
            raise ArtifactDamagedError(
                f"{where}: expected a marquee-artifact/1 manifest; it does not parse. Make or publish the artifact again."
            ) from error
        if manifest.digest != manifest.recipe.digest:
            raise ArtifactDamagedError(
                f"{where}: expected the digest of its recipe, {manifest.recipe.digest}; found {manifest.digest}."
            )
        if manifest.sha256 != content_sha256(manifest.files):
            raise ArtifactDamagedError(f"{where}: expected the content hash of its files; found another.")
        for entry in manifest.files:
            if Path(entry.path).is_absolute() or ".." in Path(entry.path).parts:
                raise ArtifactDamagedError(
                    f"{where}: expected paths in the artifact's folder; found {entry.path!r}, which is outside."
                )
        return manifest


def content_sha256(files: Sequence[FileEntry]) -> str:
    """SHA-256 of the sorted paths and SHA-256 hashes of an artifact's files; times do not count."""
    lines = "".join(f"{entry.sha256}  {entry.path}\n" for entry in sorted(files, key=lambda entry: entry.path))
    return hashlib.sha256(lines.encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read and check `folder/manifest.json`.

    Raises:
        ArtifactError: there is no manifest.
        ArtifactDamagedError: it is incomplete, has another format, or is not consistent.
    """
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{folder}: expected an artifact; found no {MANIFEST}. Check the path, or make the artifact first."
        ) from error
    return Manifest.parse(text, str(path))


def verify_files(folder: Path, manifest: Manifest, depth: Depth = Depth.HASHES) -> None:
    """Compare the files of a folder with the manifest.

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
            raise ArtifactDamagedError(f"{path}: expected SHA-256 {entry.sha256}; found other bytes.")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that the bytes of artifacts depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
