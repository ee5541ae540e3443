"""Read Parquet tables into one table with a row per item, and its rows into the arrays that feature blocks are made from."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.encoders.blocks import BLOCKS
from models.encoders.columns import Genome, ItemColumns, Terms, TrainingEvents
from storage.dataset.item_index import ItemIndex
from storage.tables import list_column, matrix_of

TERMS = (
    "genres", "metadata_genres", "countries", "languages", "original_language", "companies", "collection", "cast",
    "directors", "writers", "certification", "keywords", "title_type", "status",
)  # fmt: skip
NUMBERS = (
    "year", "runtime_minutes", "budget_usd", "revenue_usd", "popularity", "vote_average", "vote_count", "imdb_rating",
    "imdb_votes", "metascore", "rotten_tomatoes",
)  # fmt: skip
TEXTS = ("title", "tagline", "overview")
OF_EVENTS = "of_events."  # prefix of the columns of `ItemColumns.of_events`


def item_rows(
    movies: pa.Table,
    text_vectors: NDArray[np.float32],
    events: Path,
    users: pa.Table,
    tags: Path | None = None,
    genome: Path | None = None,
) -> pa.Table:
    """Everything that the feature blocks are made from, one row per movie; only training events and tags are read.

    Args:
        movies: I rows in MOVIES_SCHEMA, sorted by movie_id.
        text_vectors: (I, E), from the text encoder.
        events: events.parquet, in EVENTS_SCHEMA.
        users: user_id, sorted, and train_until, as in users.parquet.
        tags: folder with tags.parquet, in TAGS_SCHEMA.
        genome: folder with genome.npy (M, T), genome_movies.npy (M,) and genome_tags.json if the release has a tag
            genome. The genome is not made from training users alone.

    Returns:
        The movies with the columns `text_vector`, `train`, `of_events.<block>`, and `tags`, `genome` and `genome_known` if the
        source has them; the metadata has the genome's tags.
    """
    movie_ids = movies["movie_id"].to_numpy()
    training = read_training_events(events, movie_ids, users)
    train = np.zeros(len(movie_ids), dtype=bool)
    train[training.item] = True
    columns = {"text_vector": list_column(text_vectors), "train": pa.array(train)}
    for name, block in BLOCKS.items():
        if block.of_events is not None and (values := block.of_events(training, len(movie_ids))).shape[1]:
            columns[OF_EVENTS + name] = list_column(values)
    if tags is not None:
        columns["tags"] = lists_of(stored_tags(tags / "tags.parquet", movie_ids, users), len(movie_ids))
    found = stored_genome(genome, movie_ids) if genome is not None else None
    if found is not None:
        columns |= {"genome": list_column(found.relevance), "genome_known": pa.array(found.known)}
    table = pa.table(dict(zip(movies.column_names, movies.columns, strict=True)) | columns)
    return table.replace_schema_metadata({"genome": json.dumps(found.tags)} if found is not None else None)


def item_columns(rows: pa.Table) -> ItemColumns:
    """The input of the feature blocks for some rows of `item_rows`."""
    known = further_columns(rows, matrix_of(rows["text_vector"]))
    names = [name for name in rows.column_names if name.startswith(OF_EVENTS)]
    genome = None
    if "genome" in rows.column_names:
        tags = json.loads(rows.schema.metadata[b"genome"])
        genome = Genome(matrix_of(rows["genome"]), rows["genome_known"].to_numpy(), tags)
    return replace(
        known,
        train=rows["train"].to_numpy(),
        terms={**known.terms, **({"tags": terms_of(rows["tags"])} if "tags" in rows.column_names else {})},
        genome=genome,
        of_events={name.removeprefix(OF_EVENTS): matrix_of(rows[name]) for name in names},
    )


def lists_of(terms: Terms, items: int) -> pa.ListArray:
    """The terms of each item as a column of lists."""
    order = np.argsort(terms.item, kind="stable")
    offsets = np.searchsorted(terms.item[order], np.arange(items + 1)).astype(np.int32)
    values = pa.array(terms.vocabulary, pa.string()).take(pa.array(terms.code[order]))
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def further_columns(movies: pa.Table, text_vectors: NDArray[np.float32]) -> ItemColumns:
    """The inputs of the feature blocks for movies without events, tags and genome, in the table's order.

    Args:
        movies: I rows in MOVIES_SCHEMA.
        text_vectors: (I, E), from the text encoder.
    """
    terms = {name: terms_of(movies[name]) for name in TERMS}
    terms["adult"] = terms_of(movies["adult"].cast(pa.string()))
    parts = [pc.fill_null(movies[name], "") for name in TEXTS]
    return ItemColumns(
        train=np.zeros(movies.num_rows, dtype=bool),
        text_vectors=text_vectors,
        texts=pc.binary_join_element_wise(*parts, " ").to_pylist(),
        terms=terms,
        numbers={name: floats(movies[name]) for name in NUMBERS} | dates_and_awards(movies),
    )


class TrainingRows(NamedTuple):
    """Training rows of a table of ratings or tags: those of known movies up to each user's `train_until`."""

    user: NDArray[np.int32]  # (n,) position in the users table
    item: NDArray[np.int32]  # (n,) item index
    timestamp: NDArray[np.int64]  # (n,) unix seconds
    value: pa.Array  # (n,) the values of `column`


def training_rows(path: Path, column: str, movie_ids: NDArray[np.int64], users: pa.Table) -> list[TrainingRows]:
    """The training rows of a table with user_id, movie_id, timestamp and `column`, one list entry per row group.

    At most two row groups are in memory at a time.
    """
    user_index, item_index = ItemIndex(users["user_id"].to_numpy()), ItemIndex(movie_ids)
    until = users["train_until"].to_numpy()

    def of_group(group: int) -> TrainingRows:
        rows = pq.ParquetFile(path).read_row_group(
            group, columns=["user_id", "movie_id", "timestamp", column], use_threads=False
        ).combine_chunks()  # fmt: skip
        user, item = user_index.of(rows["user_id"].to_numpy()), item_index.of(rows["movie_id"].to_numpy())
        timestamp = rows["timestamp"].to_numpy()
        kept = np.flatnonzero((timestamp <= until[user]) & (user >= 0) & (item >= 0))
        value = rows[column].combine_chunks().take(pa.array(kept))
        return TrainingRows(user[kept], item[kept], timestamp[kept], value)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(of_group, range(pq.ParquetFile(path).num_row_groups)))


def read_training_events(path: Path, movie_ids: NDArray[np.int64], users: pa.Table) -> TrainingEvents:
    """The training events of an events table, with positions of users and items."""
    parts = training_rows(path, "rating", movie_ids, users)
    return TrainingEvents(
        user=np.concatenate([np.zeros(0, np.int32), *(part.user for part in parts)]),
        item=np.concatenate([np.zeros(0, np.int32), *(part.item for part in parts)]),
        rating=np.concatenate([np.zeros(0, np.float32), *(part.value.to_numpy() for part in parts)]),
        timestamp=np.concatenate([np.zeros(0, np.int64), *(part.timestamp for part in parts)]),
    )


def stored_tags(path: Path, movie_ids: NDArray[np.int64], users: pa.Table) -> Terms:
    """The tags that training sees, in lower case; users without ratings are in no split and are left out."""
    parts = training_rows(path, "tag", movie_ids, users)
    tags = pa.chunked_array([part.value for part in parts], pa.string()).combine_chunks()
    encoded = pc.utf8_lower(pc.utf8_trim_whitespace(pc.fill_null(tags, ""))).dictionary_encode()
    return Terms(
        np.concatenate([np.zeros(0, np.int64), *(part.item.astype(np.int64) for part in parts)]),
        encoded.indices.to_numpy().astype(np.int64),
        encoded.dictionary.to_pylist(),
    )


def stored_genome(folder: Path, movie_ids: NDArray[np.int64]) -> Genome | None:
    """The tag genome of every item, or None if the release has none."""
    if not (folder / "genome.npy").exists():
        return None
    relevance = np.load(folder / "genome.npy", allow_pickle=False)
    place = ItemIndex(movie_ids).of(np.load(folder / "genome_movies.npy", allow_pickle=False))
    spread = np.zeros((len(movie_ids), relevance.shape[1]), dtype=np.float32)
    spread[place[place >= 0]] = relevance[place >= 0]
    known = np.zeros(len(movie_ids), dtype=bool)
    known[place[place >= 0]] = True
    return Genome(spread, known, json.loads((folder / "genome_tags.json").read_text()))


def terms_of(column: pa.ChunkedArray) -> Terms:
    """The pairs of row and term in a column of strings or of lists of strings."""
    column = column.combine_chunks()
    if pa.types.is_list(column.type):
        rows, values = pc.list_parent_indices(column), pc.list_flatten(column)
    else:
        rows, values = pa.array(np.arange(len(column))), column
    encoded = pc.fill_null(values, "").dictionary_encode()
    return Terms(
        rows.to_numpy().astype(np.int64), encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()
    )


def floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """A column of numbers as (I,) float64, with NaN for null."""
    return np.asarray(column.cast(pa.float64()).fill_null(np.nan).to_numpy(), dtype=np.float64)


def dates_and_awards(movies: pa.Table) -> dict[str, NDArray[np.float64]]:
    """Month of release, 1 … 12, and counts of awards and nominations, (I,) float64 each, NaN for unknown."""
    awards = np.array([count_awards(text) for text in movies["awards"].to_pylist()], dtype=np.float64).reshape(-1, 2)
    return {
        "release_month": floats(pc.month(movies["release_date"])),
        "awards_won": awards[:, 0],
        "award_nominations": awards[:, 1],
    }


def count_awards(text: str | None) -> tuple[float, float]:
    """Numbers of wins and nominations in OMDb's sentence about awards, such as "Won 3 Oscars. Another 20 wins & 30 nominations."."""
    if not text:
        return np.nan, np.nan
    won = re.findall(r"\bWon (\d+)|(\d+) wins?\b", text)
    nominated = re.findall(r"\bNominated for (\d+)|(\d+) nominations?\b", text)
    return float(sum(int(a or b) for a, b in won)), float(sum(int(a or b) for a, b in nominated))
