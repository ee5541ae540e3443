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
MEASURED = ("report",)  # kinds that hold measured times: of two with one digest the first stands
PACKAGES = ("marquee", "numpy", "pandas", "pyarrow", "h5py", "torch", "transformers", "scikit-learn", "prefect")


class Depth(IntEnum):
    """How closely an artifact is looked at before it is used."""

    MANIFEST = 0
    SIZES = 1
    HASHES = 2


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


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape the bytes of artifacts."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
