"""Finds and hashes the raw files of a run: a release, ratings of another domain or generated data, and metadata."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

from prefect import task
from pydantic import BaseModel, ConfigDict, Field, model_validator
from rich.filesize import decimal

from storage.artifacts.store import ArtifactRef, Draft
from storage.dataset.scale import RatingScale
from storage.errors import SourceError
from storage.files import sha256_file
from storage.home import home
from storage.markdown import markdown_table
from storage.sources.bad_rows import OnBadRows
from storage.sources.generic.declaration import GenericParams
from storage.sources.metadata.files import MetadataFile, find_metadata
from storage.sources.metadata.imdb import find_imdb
from storage.sources.movielens.downloads import RELEASES
from storage.sources.movielens.opening import open_release
from storage.sources.movielens.ratings import ColumnName
from storage.sources.movielens.releases import Release, find_release
from storage.sources.web.services import WebServices, enabled_services
from tasks.caching import artifact_store, artifact_task, is_worth_retrying
from tasks.progress import Progress
from tasks.sample import SampleParams, write_sample
from tasks.story import add_section

logger = logging.getLogger("marquee.sources")


class SourceParams(WebServices):
    """Where ratings and metadata come from."""

    release: str | None = Field(
        None,
        description=f"A MovieLens release: a folder, a .zip, or a name to download ({', '.join(RELEASES)}); empty: "
        "generated data.",
    )
    generic: GenericParams | None = Field(None, description="Ratings of another domain, instead of a release.")
    metadata: tuple[MetadataFile, ...] = Field(
        (), description="Files of metadata or folders of TMDB and Kaggle exports, the most trusted first."
    )
    imdb: tuple[Path, ...] = Field(
        (), description="IMDb's TSV datasets, or a folder of them; trusted less than the files."
    )
    columns: dict[ColumnName, str] = Field(
        default_factory=dict, description="Other names of userId, movieId, rating, timestamp in ratings.csv."
    )
    on_bad_rows: OnBadRows = Field(
        "reject",
        description="A row that cannot be used stops the run (reject) or is set aside and counted (quarantine).",
    )
    max_unknown_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of the ratings whose item may be missing from the table of items; they are left out. If more are "
        "missing, the gate on events stops the run: the columns of user and item may be swapped.",
    )
    sample: SampleParams = Field(SampleParams(), description="Parameters of the generator, used without a release.")

    @model_validator(mode="after")
    def _has_one_source(self) -> "SourceParams":
        if self.generic is None:
            return self
        if self.release is not None:
            raise ValueError("source: expected a release or generic ratings; found both. Leave one of them empty.")
        if self.metadata or self.imdb or enabled_services(self):
            raise ValueError(
                "source: expected generic ratings alone; found metadata of movies too. Map the metadata of the items in "
                "generic.items."
            )
        return self

    @property
    def scale(self) -> RatingScale:
        """The scale of the ratings."""
        return self.generic.scale if self.generic is not None else RatingScale()


class RawFile(NamedTuple):
    """A raw file as it was when it was hashed."""

    path: Path
    size_bytes: int
    changed_ns: int  # time of the last change, nanoseconds since 1970

    @classmethod
    def at(cls, path: Path) -> Self:
        """The file as it is now."""
        now = path.stat()
        return cls(path, now.st_size, now.st_mtime_ns)


class Source(BaseModel):
    """The raw files of one run, and their hashes, which are part of digests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: Release | None
    generic: GenericParams | None
    metadata: tuple[MetadataFile, ...]
    imdb: dict[str, Path]
    files: dict[str, RawFile]  # by role
    sha256: dict[str, str]  # role → hash
    generated: bool

    @property
    def has_tags(self) -> bool:
        """Whether the release has tags or a tag genome."""
        return (
            self.release is not None and (self.release.files["tags"] or self.release.files["genome_scores"]) is not None
        )

    def of(self, *roles: str) -> dict[str, str]:
        """The hashes of the files of some roles; `metadata` and `imdb` mean all their files."""
        return {role: digest for role, digest in self.sha256.items() if role.split("-")[0] in roles}

    def require_unchanged(self, sha256: Mapping[str, str]) -> None:
        """Make sure that what was read is what was hashed.

        Args:
            sha256: of the files that were read, by role.

        Raises:
            SourceError: a file was changed or removed meanwhile.
        """
        for role in sha256.keys() & self.files.keys():
            file = self.files[role]
            if not file.path.is_file() or RawFile.at(file.path) != file:
                raise SourceError(
                    f"{file.path}: expected the file as it was when the run began; found that it was changed meanwhile. Run "
                    "again when nothing writes it."
                )


@artifact_task("sample")
def make_sample(draft: Draft, params: SampleParams) -> None:
    """Generate a small release like MovieLens with metadata like TMDB's, from known preferences."""
    draft.facts = write_sample(draft.path, params)
    draft.rows = draft.facts["ratings"]
    draft.generated = True


def open_source(params: SourceParams) -> Source:
    """The source of a run: a release, ratings of another domain, or generated data."""
    sample = make_sample(params.sample) if params.release is None and params.generic is None else None
    return find_files(params, sample)


@task(name="find-sources", retries=2, retry_delay_seconds=10, retry_condition_fn=is_worth_retrying)
def find_files(params: SourceParams, sample: ArtifactRef | None) -> Source:
    """Find the raw files, download and unpack missing ones, and hash them: digests use hashes, not paths."""
    release, metadata = None, params.metadata
    if sample is not None:
        folder = artifact_store().open(sample)
        release, metadata = find_release(folder), (MetadataFile(path=folder / "metadata"),)
    elif params.release is not None:
        release = open_named_release(params.release)
    exports = tuple(find_metadata(metadata))
    imdb = find_imdb(params.imdb) if params.imdb else {}
    files = raw_files(release, params.generic, exports, imdb)
    return Source(
        release=release,
        generic=params.generic,
        metadata=exports,
        imdb=imdb,
        files={role: RawFile.at(path) for role, path in files.items()},
        sha256=hash_files(files, release, params.generic, exports),
        generated=sample is not None,
    )


def raw_files(
    release: Release | None, generic: GenericParams | None, metadata: tuple[MetadataFile, ...], imdb: dict[str, Path]
) -> dict[str, Path]:
    """The raw files by role.

    Raises:
        SourceError: a file does not exist.
    """
    files: dict[str, Path] = {}
    if release is not None:
        files = {role: path for role, path in release.files.items() if path is not None}
    if generic is not None:
        items = generic.items  # without a table of items, the rated items are used
        files = {"ratings": generic.ratings, "movies": generic.ratings if items is None else items.path}
    files |= {f"metadata-{place}": file.path for place, file in enumerate(metadata)}
    files |= {f"imdb-{kind}": path for kind, path in sorted(imdb.items())}
    for role, path in files.items():
        if not path.is_file():
            raise SourceError(
                f"{path}: expected a file of {role}; found none. Correct its path in the parameters `source`."
            )
        logger.info("%s: %s", role, path)
    return files


def hash_files(
    files: Mapping[str, Path],
    release: Release | None,
    generic: GenericParams | None,
    metadata: tuple[MetadataFile, ...],
) -> dict[str, str]:
    """The hashes of the raw files by role.

    How a file is read changes the result, and so does its name if the result keeps it; both are entries of their own,
    `<role>-read-by` and `<role>-name`.
    """
    tables = [role for role in files if not role.startswith(("metadata-", "imdb-"))]
    read_as: dict[str, str] = {}
    if release is not None:
        read_as = dict.fromkeys(tables, release.kind)
    if generic is not None:
        read_as = dict.fromkeys(tables, read_by(generic))
    read_as |= {f"metadata-{place}": read_by(file) for place, file in enumerate(metadata)}
    named = [role for role in files if role.startswith("metadata-") or (generic is not None and role in tables)]
    sha256 = {role: sha256_file(path) for role, path in files.items()}
    add_section("Made from", markdown_table(file_row(role, path, sha256[role]) for role, path in files.items()))
    sha256 |= {f"{role}-read-by": way for role, way in read_as.items()}
    return sha256 | {f"{role}-name": files[role].name for role in named}


def file_row(role: str, path: Path, sha256: str) -> dict[str, str]:
    """A raw file, for the summary of the run."""
    return {"file": role, "name": path.name, "size": decimal(path.stat().st_size), "SHA-256": f"`{sha256[:12]}`"}


def read_by(declared: BaseModel) -> str:
    """A declared mapping as JSON, without the paths of its files."""
    return declared.model_dump_json(exclude={"path": True, "ratings": True, "items": {"path"}})


def open_named_release(name: str) -> Release:
    """A release from a folder, an archive or the network; a download has a progress bar in the UI."""
    progress: list[Progress] = []

    def show(done: int, total: int | None) -> None:
        if not progress:
            progress.append(Progress("download", f"Downloading {name}"))
        if total:
            progress[0].show(done, total)

    return open_release(name, home() / "releases", progress=show)
