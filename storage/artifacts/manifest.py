"""The manifest of an artifact: what made it, from what, which files it has, and whether they are whole."""

import hashlib
import json
import platform
from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from storage.errors import ArtifactDamagedError, ArtifactError
from storage.files import sha256_file

MANIFEST = "manifest.json"
MEASURED = ("report",)  # kinds with measured times in them: if two have the same digest, the first is kept
FORMAT: Literal["marquee-artifact/2"] = "marquee-artifact/2"
DIGEST_DIGITS = 32
MAX_BYTES = 16 << 20  # of a manifest.json
AGAIN = "Pull, make or publish the artifact again."
MAX_FILES = 10_000
PACKAGES = ("marquee", "numpy", "pandas", "pyarrow", "h5py", "torch", "transformers", "scikit-learn", "prefect")


def _inside(path: str) -> str:
    """Refuse a path that is not a plain relative one: it must stay in the artifact's folder and not be the manifest."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in path or not path.isprintable():
        raise ValueError(f"expected a relative path in the artifact's folder; found {path!r}, which may lead outside")
    if path == MANIFEST:
        raise ValueError(f"expected no {MANIFEST} among the files")
    return path


def _moment(text: str) -> str:
    """Refuse a text that is not a moment with a time zone."""
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("expected a time zone")
    return text


KindName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# An input that was made here is named by its digest. One from elsewhere is named by the SHA-256 of its content, because a
# stranger can put any content under a digest.
InputName = Annotated[str, Field(pattern=r"^([0-9a-f]{32}|[0-9a-f]{64})$")]


class Depth(IntEnum):
    """How an artifact is verified before it is used; each level includes those before it."""

    MANIFEST = 0
    SIZES = 1
    HASHES = 2


class Recipe(BaseModel):
    """Everything that determines an artifact; equal recipes name the same artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: KindName
    schema_version: int = Field(ge=0)
    parameters: dict[str, Any]
    inputs: dict[str, InputName]
    code: str = Field(max_length=64)

    @property
    def own_inputs(self) -> dict[str, str]:
        """The digests of those inputs that were made where this artifact was made."""
        return {role: name for role, name in self.inputs.items() if len(name) == DIGEST_DIGITS}

    @property
    def digest(self) -> str:
        """First 32 hex digits of the SHA-256 of the canonical JSON of this recipe."""
        return sha256_json(self.model_dump(mode="json"))[:DIGEST_DIGITS]


class FileEntry(BaseModel):
    """One file of an artifact; its path is relative to the artifact's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_inside)]
    size_bytes: int = Field(ge=0)
    sha256: Sha256


class Manifest(BaseModel):
    """What produced an artifact, from which inputs, and which files it consists of.

    In manifest.json there is one more field, `checksum`: the SHA-256 of the canonical JSON of all others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["marquee-artifact/2"] = FORMAT
    digest: Digest
    recipe: Recipe
    files: tuple[FileEntry, ...] = Field(min_length=1, max_length=MAX_FILES)
    sha256: Sha256  # of the content: see `content_sha256`
    rows: int = Field(ge=0)
    facts: dict[str, Any]
    licences: tuple[str, ...]
    generated: bool
    versions: dict[str, str]
    created_at: Annotated[str, AfterValidator(_moment)]
    seconds: float = Field(ge=0, allow_inf_nan=False)  # wall time from draft to commit

    @property
    def size_bytes(self) -> int:
        """Sum of the sizes of all files, in bytes."""
        return sum(entry.size_bytes for entry in self.files)

    def to_json(self) -> bytes:
        """The bytes of manifest.json, with the checksum."""
        values = json.loads(self.model_dump_json())
        return json.dumps(values | {"checksum": sha256_json(values)}, indent=2, ensure_ascii=False).encode()

    @classmethod
    def parse(cls, data: bytes, where: str) -> Self:
        """Read the bytes of a manifest.json: its checksum, recipe and files must agree, and all paths stay in the folder.

        Raises:
            ArtifactDamagedError: it is incomplete, has another format, or is not consistent.
        """
        if len(data) > MAX_BYTES:
            raise ArtifactDamagedError(
                f"{where}: expected a manifest of at most {MAX_BYTES:,} bytes; found {len(data):,}. {AGAIN}"
            )
        try:
            values = json.loads(data, parse_constant=_refuse_constant)
            if not isinstance(values, dict):
                raise ValueError("expected a JSON object")
            found, checksum = values.get("format"), values.pop("checksum", None)
            canonical = canonical_json(values)
        except (ValueError, RecursionError) as error:
            raise ArtifactDamagedError(
                f"{where}: expected a {FORMAT} manifest; found what does not parse. {AGAIN}"
            ) from error
        if found != FORMAT:
            raise ArtifactDamagedError(
                f"{where}: expected format {FORMAT}; found {found!r}. Make or publish the artifact again with this version."
            )
        if checksum != hashlib.sha256(canonical).hexdigest():
            raise ArtifactDamagedError(f"{where}: expected the checksum of its other fields; found another. {AGAIN}")
        try:
            # In the order of the file: the rows of tables among the facts keep the order of their columns.
            manifest = cls.model_validate_json(json.dumps(values), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise ArtifactDamagedError(
                f"{where}: expected a {FORMAT} manifest; found {'.'.join(map(str, first['loc']))}: {first['msg']}. "
                f"{AGAIN}"
            ) from None
        if manifest.digest != manifest.recipe.digest:
            raise ArtifactDamagedError(
                f"{where}: expected the digest of its recipe, {manifest.recipe.digest}; found {manifest.digest}. "
                f"{AGAIN}"
            )
        if manifest.sha256 != content_sha256(manifest.files):
            raise ArtifactDamagedError(f"{where}: expected the content hash of its files; found another. {AGAIN}")
        paths = {entry.path for entry in manifest.files}
        folders = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
        if len(paths) < len(manifest.files) or paths & folders:
            raise ArtifactDamagedError(f"{where}: expected every file once; found one path for two files. {AGAIN}")
        return manifest


def canonical_json(values: Any) -> bytes:
    """JSON that is the same for equal values: sorted keys, no spaces.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256_json(values: Any) -> str:
    """SHA-256 of the canonical JSON of values."""
    return hashlib.sha256(canonical_json(values)).hexdigest()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"expected finite numbers; found {name}")


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
        ArtifactDamagedError: a file is missing, is reached by a link, has another size or (at `Depth.HASHES`) other bytes.
    """
    if depth < Depth.SIZES:
        return
    for entry in manifest.files:
        path = folder / entry.path
        if leads_outside(folder, entry.path):
            raise ArtifactDamagedError(f"{path}: expected a file of the artifact; found a symbolic link. {AGAIN}")
        size = path.stat().st_size if path.is_file() else None
        if size != entry.size_bytes:
            found = "no file" if size is None else f"{size} bytes"
            raise ArtifactDamagedError(f"{path}: expected {entry.size_bytes} bytes; found {found}. {AGAIN}")
        if depth >= Depth.HASHES and sha256_file(path) != entry.sha256:
            raise ArtifactDamagedError(f"{path}: expected SHA-256 {entry.sha256}; found other bytes. {AGAIN}")


def leads_outside(folder: Path, path: str) -> bool:
    """Whether the relative path has a symbolic link, which may lead out of the folder."""
    return any((folder / part).is_symlink() for part in (path, *map(str, PurePosixPath(path).parents)) if part != ".")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that the bytes of artifacts depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
