"""The ingest stage: raw files become the checked tables `catalogue`, `movies`, `events`, `tags` and `splits`."""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import task

from storage.artifacts.store import ArtifactRef, Draft
from storage.dataset.event_table import Column, write_events
from storage.dataset.scale import RatingScale
from storage.dataset.sorting import sorted_histories
from storage.dataset.splits import SplitParams, before_held_out, split_users, time_cut, train_until
from storage.sources.bad_rows import BadRows, OnBadRows
from storage.sources.generic.items import read_generic_items
from storage.sources.generic.ratings import generic_events
from storage.sources.metadata.files import read_metadata
from storage.sources.metadata.imdb import IMDB_LICENCE, read_imdb
from storage.sources.metadata.join import join_metadata
from storage.sources.movielens.genome import read_genome
from storage.sources.movielens.movies import read_movies
from storage.sources.movielens.ratings import ColumnName, read_ratings
from storage.sources.movielens.releases import MOVIELENS_LICENCE
from storage.sources.movielens.tags import read_tags
from storage.tables import MOVIES_SCHEMA
from tasks.caching import artifact_store, artifact_task
from tasks.sources import Source
from tasks.steps import in_words
from tasks.story import show_table

logger = logging.getLogger("marquee.ingest")
QUARANTINE = "quarantine.parquet"


@artifact_task("catalogue", outside=("source",))
def make_catalogue(draft: Draft, source: Source, sha256: dict[str, str], on_bad_rows: OnBadRows) -> None:
    """Read the items: a release's movies and their outside ids, or another domain's items with all their metadata."""
    bad = BadRows(on_bad_rows)
    if source.release is not None:
        items, facts = read_movies(source.release, bad)
        draft.licences = [] if source.generated else [MOVIELENS_LICENCE]
    else:
        assert source.generic is not None  # noqa: S101
        items, facts = read_generic_items(source.generic, bad)
        draft.licences = [source.generic.licence] if source.generic.licence else []
    source.require_unchanged(sha256)
    pq.write_table(items, draft.path / "catalogue.parquet")
    draft.rows, draft.generated = items.num_rows, source.generated
    keep_facts(draft, facts, bad)


@artifact_task("movies", outside=("source",))
def make_movies(
    draft: Draft,
    source: Source,
    sha256: dict[str, str],
    catalogue: ArtifactRef,
    web: dict[str, ArtifactRef],
    on_bad_rows: OnBadRows,
) -> None:
    """Join the items with metadata of files, services and IMDb's datasets, in this order of precedence."""
    bad = BadRows(on_bad_rows)
    facts: dict[str, Any] = {}
    items = read_table(catalogue, "catalogue.parquet")
    tables: list[tuple[str, pa.Table]] = []
    licences: list[str] = []
    for place, file in enumerate(source.metadata):
        table, facts[f"metadata-{place} {file.path.name}"], terms = read_metadata(file, bad)
        tables.append((file.path.name, table))
        licences += terms
    tables += [(name, read_table(ref, "metadata.parquet")) for name, ref in web.items()]
    if source.imdb:
        wanted = set(items["imdb_id"].drop_null().to_pylist())
        table, facts["imdb"] = read_imdb(tuple(source.imdb.values()), wanted, bad)
        tables.append(("imdb", table))
        licences.append(IMDB_LICENCE)
    if items.schema != MOVIES_SCHEMA:
        items, facts["metadata"] = join_metadata(items, tables)
    source.require_unchanged(sha256)
    pq.write_table(items, draft.path / "movies.parquet")
    draft.rows = items.num_rows
    if not source.generated:
        draft.licences += licences
    keep_facts(draft, facts, bad)


@artifact_task("events", outside=("source",))
def make_events(
    draft: Draft,
    source: Source,
    sha256: dict[str, str],
    catalogue: ArtifactRef,
    scale: RatingScale,
    columns: Mapping[ColumnName, str],
    on_bad_rows: OnBadRows,
) -> None:
    """Read, check and sort the ratings by user and time."""
    bad = BadRows(on_bad_rows)
    known = known_movies(catalogue)
    facts: dict[str, Any] = {}
    if source.release is not None:
        ratings = source.release.ratings.renamed(columns)
        histories = read_ratings(ratings, scale, known, bad, facts, scratch=draft.path)
    else:
        assert source.generic is not None  # noqa: S101
        blocks = generic_events(source.generic, known, bad, facts)
        histories = sorted_histories(blocks, len(known), facts, scratch=draft.path)
    write_events(draft.path / "events.parquet", histories, known, scale)
    source.require_unchanged(sha256)
    draft.rows = facts["events"]
    keep_facts(draft, facts, bad)


@artifact_task("tags", outside=("source",))
def make_tags(
    draft: Draft, source: Source, sha256: dict[str, str], catalogue: ArtifactRef, on_bad_rows: OnBadRows
) -> None:
    """Read the tags that users gave and, if the release has it, the tag genome."""
    assert source.release is not None  # noqa: S101
    bad = BadRows(on_bad_rows)
    known = known_movies(catalogue)
    tags, facts = read_tags(source.release, known, bad)
    pq.write_table(tags, draft.path / "tags.parquet")
    if (genome := read_genome(source.release, bad)) is not None:
        np.save(draft.path / "genome.npy", genome.relevance, allow_pickle=False)
        np.save(draft.path / "genome_movies.npy", genome.movie_ids, allow_pickle=False)
        (draft.path / "genome_tags.json").write_text(json.dumps(genome.tags))
        facts["genome"] = {"movies": len(genome.movie_ids), "tags": len(genome.tags)}
    source.require_unchanged(sha256)
    draft.rows = tags.num_rows
    keep_facts(draft, facts, bad)


@artifact_task("splits")
def make_splits(draft: Draft, events: ArtifactRef, params: SplitParams) -> None:
    """Assign every user to train, validation or test, choose the global time cut, and the time until which training sees a user."""
    path = artifact_store().open(events) / "events.parquet"
    ids, numbers = zip(*(np.unique(part, return_counts=True) for part in Column(path, "user_id")), strict=True)
    user_id, place = np.unique(np.concatenate(ids), return_inverse=True)
    number = np.bincount(place, np.concatenate(numbers)).astype(np.int64)
    split, cut = split_users(user_id, params), time_cut(Column(path, "timestamp"), params)
    until = train_until(split, cut)
    if params.mode == "leave-one-out":
        until = before_held_out(number, Column(path, "timestamp"))
    users = pa.table({"user_id": user_id, "split": split, "train_until": until})
    pq.write_table(users, draft.path / "users.parquet")
    (draft.path / "splits.json").write_text(json.dumps({"mode": params.mode, "time_cut": cut}))
    draft.rows = len(user_id)
    draft.facts = {"time_cut": cut, "users": {str(code): int((split == code).sum()) for code in range(3)}}


def known_movies(items: ArtifactRef) -> NDArray[np.int64]:
    """The movie ids of a catalogue or movies artifact, (I,) int64 ascending."""
    return np.asarray(read_table(items, f"{items.kind}.parquet", ["movie_id"])["movie_id"].to_numpy())


def keep_facts(draft: Draft, facts: dict[str, Any], bad: BadRows) -> None:
    """Put the counts into the manifest and the log, and the rows that were set aside into a file of the draft."""
    draft.facts = facts | bad.facts()
    if bad.rows:
        pq.write_table(bad.table(), draft.path / QUARANTINE)
    logger.info("%s", in_words(draft.facts))


@task(name="show-bad-rows")
def show_bad_rows(stage: str, *tables: ArtifactRef) -> None:
    """Show in the UI how many rows were set aside, one row per table."""
    store = artifact_store()
    rows = [
        {"table": ref.kind, "quarantined": count, "rows in": str(store.folder(ref.kind, ref.digest) / QUARANTINE)}
        for ref in tables
        if (count := store.manifest(ref).facts.get("quarantined", 0))
    ]
    if rows:
        show_table(f"bad-rows-{stage}", rows, "Rows that could not be used and were set aside")


def read_table(ref: ArtifactRef, name: str, columns: list[str] | None = None) -> pa.Table:
    """A Parquet table of an artifact in this work directory, or some of its columns."""
    return pq.read_table(artifact_store().open(ref) / name, columns=columns)


def copy_file(ref: ArtifactRef, name: str, folder: Path) -> None:
    """Copy one file of an artifact into a draft, so that the published artifact is self-contained."""
    shutil.copyfile(artifact_store().open(ref) / name, folder / name)
