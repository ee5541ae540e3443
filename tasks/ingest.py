"""Raw files in, checked tables out: the sample's files, `movies`, `events` and the `splits` of users and time."""

import json
import logging
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task
from pydantic import BaseModel, ConfigDict, Field

from storage.artifacts import ArtifactRef, Draft
from storage.errors import SourceError
from storage.files import sha256_file
from storage.sources.exports import find_exports, read_export
from storage.sources.licences import LICENCES
from storage.sources.metadata import join_metadata
from storage.sources.movielens import read_movies, read_ratings, source_files
from storage.sources.sample import SampleParams, write_sample
from storage.splits import SplitParams, split_users, time_cut
from tasks.caching import artifact_store, artifact_task

logger = logging.getLogger("marquee.ingest")


class SourceParams(BaseModel):
    """Where ratings and metadata come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path | None = Field(
        None, description="Folder of a MovieLens release (ratings.csv, movies.csv, links.csv); empty: generated data."
    )
    metadata: tuple[Path, ...] = Field(
        (), description="TMDB exports: .csv or .zip files, or folders of them, the most trusted first."
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="Names of userId, movieId, rating, timestamp in ratings.csv, if others."
    )
    sample: SampleParams = Field(SampleParams(), description="The generator's parameters, used without a folder.")


class Source(BaseModel):
    """The raw files of one run and the hashes that stand for them in digests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    exports: tuple[Path, ...]
    sha256: dict[str, str]
    generated: bool

    def of(self, table: Literal["movies", "ratings"]) -> dict[str, str]:
        """The hashes that one table depends on."""
        return {name: digest for name, digest in self.sha256.items() if (name == "ratings.csv") == (table == "ratings")}


@artifact_task("sample", modules=("storage.sources.sample",))
def make_sample(draft: Draft, params: SampleParams) -> None:
    """Generate a small MovieLens-like release with TMDB-like metadata from known preferences."""
    draft.facts = write_sample(draft.path, params)
    draft.rows = draft.facts["ratings"]
    draft.generated = True


@task(name="find-sources")
def find_sources(folder: Path, metadata: tuple[Path, ...], generated: bool) -> Source:
    """Locate and hash the raw files; the hashes, not the paths, name what is made of them."""
    files = source_files(folder)
    exports = tuple(find_exports(metadata))
    sha256 = {name: sha256_file(path) for name, path in files.items() if path is not None}
    sha256 |= {f"metadata-{place}-{path.name}": sha256_file(path) for place, path in enumerate(exports)}
    for name, path in files.items():
        logger.info("%s: %s", name, path or "not in this release")
    logger.info("metadata: %s", ", ".join(path.name for path in exports) or "none")
    return Source(folder=folder, exports=exports, sha256=sha256, generated=generated)


def prepare_source(params: SourceParams) -> Source:
    """The source of a run: a given release, or the generated one."""
    if params.folder is not None:
        if not params.folder.is_dir():
            raise SourceError(
                f"{params.folder}: expected a folder with a MovieLens release; found none. "
                "Unpack one there, or give another with --data (DATA= for make demo)."
            )
        return find_sources(params.folder, params.metadata, generated=False)
    sample = make_sample(params.sample)
    folder = artifact_store().open(sample)
    return find_sources(folder, (folder / "metadata",), generated=True)


@artifact_task(
    "movies",
    modules=(
        "storage.sources.json_fields",
        "storage.sources.tmdb_details",
        "storage.sources.exports",
        "storage.sources.fields",
        "storage.sources.licences",
        "storage.sources.metadata",
        "storage.sources.movielens",
        "storage.sources.records",
        "storage.sources.rows",
        "storage.tables",
    ),
    outside=("source",),
)
def make_movies(draft: Draft, source: Source, sha256: dict[str, str]) -> None:
    """Read the movies and join them with the metadata exports."""
    movies, facts = read_movies(source.folder)
    exports = []
    for path in source.exports:
        table, export_facts = read_export(path)
        exports.append((path.name, table))
        facts[path.name] = export_facts
    joined, facts["metadata"] = join_metadata(movies, exports)
    pq.write_table(joined, draft.path / "movies.parquet")
    draft.rows, draft.facts, draft.generated = joined.num_rows, facts, source.generated
    if not source.generated:
        draft.licences = [LICENCES["movielens"]] + ([LICENCES["tmdb"]] if exports else [])
    logger.info("movies: %s", json.dumps(facts, default=str))


@artifact_task("events", modules=("storage.sources.movielens", "storage.tables"), outside=("source",))
def make_events(
    draft: Draft, source: Source, sha256: dict[str, str], movies: ArtifactRef, columns: dict[str, str]
) -> None:
    """Read, check and sort the ratings by user and time."""
    known = read_table(movies, "movies.parquet")["movie_id"].to_numpy()
    events, facts = read_ratings(source.folder, known, columns or None)
    pq.write_table(events, draft.path / "events.parquet")
    draft.rows, draft.facts = events.num_rows, facts
    logger.info("events: %s", json.dumps(facts, default=str))


@artifact_task("splits", modules=("storage.splits",))
def make_splits(draft: Draft, events: ArtifactRef, params: SplitParams) -> None:
    """Assign every user to train, validation or test, and choose the global time cut."""
    table = read_table(events, "events.parquet")
    user_id = np.unique(table["user_id"].to_numpy())
    split = split_users(user_id, params)
    pq.write_table(pa.table({"user_id": user_id, "split": split}), draft.path / "users.parquet")
    cut = time_cut(table["timestamp"].to_numpy(), params)
    (draft.path / "splits.json").write_text(json.dumps({"time_cut": cut}))
    draft.rows = len(user_id)
    draft.facts = {"time_cut": cut, "users": {str(code): int((split == code).sum()) for code in range(3)}}


def read_table(ref: ArtifactRef, name: str) -> pa.Table:
    """One parquet table of an artifact of this work directory."""
    return pq.read_table(artifact_store().open(ref) / name)


def copy_file(ref: ArtifactRef, name: str, folder: Path) -> None:
    """Copy one file of an artifact into a draft, so that what is published stands alone."""
    shutil.copyfile(artifact_store().open(ref) / name, folder / name)
