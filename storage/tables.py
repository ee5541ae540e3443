"""The schemas of the Parquet tables that stages exchange."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

EVENTS_SCHEMA = pa.schema(
    [("user_id", pa.int64()), ("movie_id", pa.int64()), ("rating", pa.float32()), ("timestamp", pa.int64())]
)

LATEST_SECOND = 4_102_444_800  # 2100-01-01; larger numbers are milliseconds taken for seconds
MAX_DIM = 4096  # width of an item embedding

# What a metadata source can know of a movie, null or empty if it does not; `movies.parquet` has these columns too.
METADATA_SCHEMA = pa.schema(
    [
        ("tagline", pa.string()),
        ("overview", pa.string()),
        ("original_title", pa.string()),
        ("original_language", pa.string()),  # ISO 639-1
        ("collection", pa.string()),
        ("certification", pa.string()),  # PG-13, R …
        ("status", pa.string()),  # Released, Rumored …
        ("title_type", pa.string()),  # movie, tvEpisode, short …
        ("awards", pa.string()),
        ("release_date", pa.date32()),
        ("adult", pa.bool_()),
        ("metadata_genres", pa.list_(pa.string())),
        ("countries", pa.list_(pa.string())),
        ("languages", pa.list_(pa.string())),
        ("companies", pa.list_(pa.string())),
        ("keywords", pa.list_(pa.string())),
        ("cast", pa.list_(pa.string())),
        ("directors", pa.list_(pa.string())),
        ("writers", pa.list_(pa.string())),
        ("runtime_minutes", pa.float32()),
        ("budget_usd", pa.float64()),
        ("revenue_usd", pa.float64()),
        ("popularity", pa.float32()),
        ("vote_average", pa.float32()),  # TMDB's, 0 … 10
        ("vote_count", pa.float32()),
        ("imdb_rating", pa.float32()),  # 1 … 10
        ("imdb_votes", pa.float32()),
        ("metascore", pa.float32()),  # 0 … 100
        ("rotten_tomatoes", pa.float32()),  # 0 … 100
    ]
)

# The table of a metadata source: outside ids (either may be null) and metadata.
SOURCE_SCHEMA = pa.schema([("tmdb_id", pa.int64()), ("imdb_id", pa.string()), *METADATA_SCHEMA])

# One row per tag that a user gave a movie.
TAGS_SCHEMA = pa.schema(
    [("user_id", pa.int64()), ("movie_id", pa.int64()), ("tag", pa.string()), ("timestamp", pa.int64())]
)

IDENTITY_SCHEMA = pa.schema(
    [
        ("movie_id", pa.int64()),
        ("external_id", pa.string()),  # the id as written in its source
        ("tmdb_id", pa.int64()),
        ("imdb_id", pa.string()),
        ("title", pa.string()),
        ("year", pa.int16()),
        ("genres", pa.list_(pa.string())),
    ]
)

MOVIES_SCHEMA = pa.schema(
    [*IDENTITY_SCHEMA, ("has_metadata", pa.bool_()), ("metadata_source", pa.string()), *METADATA_SCHEMA]
)


def items_table(movies: pa.Table, embedding: NDArray[np.float32], has_text: NDArray[np.bool_]) -> pa.Table:
    """The items table: one row per movie in the order of `movies`; the row number is the item index; titles have the year.

    Args:
        movies: in MOVIES_SCHEMA.
        embedding: (I, D) float32.
        has_text: (I,) bool, whether the item had a text to embed.
    """
    years = movies["year"].to_pylist()
    titles = [
        title if year is None else f"{title} ({year})"
        for title, year in zip(movies["title"].to_pylist(), years, strict=True)
    ]
    return pa.table(
        {
            "item_index": pa.array(np.arange(movies.num_rows, dtype=np.int32)),
            "movie_id": movies["movie_id"],
            "external_id": movies["external_id"],
            "tmdb_id": movies["tmdb_id"],
            "imdb_id": movies["imdb_id"],
            "title": pa.array(titles),
            "year": movies["year"],
            "genres": movies["genres"],
            "embedding": list_column(embedding.astype(np.float32, copy=False)),
            "has_text": pa.array(has_text),
            "has_metadata": movies["has_metadata"],
        }
    )


def embedding_matrix(items: pa.Table) -> NDArray[np.float32]:
    """The (I, D) float32 embeddings of an items table."""
    return matrix_of(items["embedding"]).astype(np.float32, copy=False)


def list_column(matrix: NDArray[Any]) -> pa.FixedSizeListArray:
    """A matrix (I, C), C ≥ 1, as a column of lists, without a copy if it is contiguous."""
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])


def matrix_of(column: pa.ChunkedArray) -> NDArray[Any]:
    """The matrix (I, C) of a column of lists without nulls."""
    whole = column.combine_chunks()
    return array_of(whole.flatten()).reshape(-1, whole.type.list_size)


def array_of(values: pa.Array) -> NDArray[Any]:
    """Numbers without nulls as an array; nothing is copied. `to_numpy` imports pandas, which takes 40 MiB of a server."""
    return np.from_dlpack(values)
