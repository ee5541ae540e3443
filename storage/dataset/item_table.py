"""Read the items table of a stored policy or dataset."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.checked_tables import read_columns
from storage.dataset.arrays import all_finite, ascending
from storage.errors import DatasetError
from storage.tables import MAX_DIM, array_of, embedding_matrix

FEATURES = "features.safetensors"  # the file beside items.parquet that has the fitted features
DATASET = b"marquee.dataset"  # in the metadata of a Parquet schema


def read_item_ids(path: Path) -> NDArray[np.int64]:
    """The movie ids of an items table, (I,) ascending.

    Raises:
        DatasetError: it is no whole items table, has no rows, or the ids do not ascend.
    """
    return _ids(path, read_columns(path, {"movie_id": pa.int64()}))


def read_item_embeddings(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The movie ids (I,) and the embeddings (I, D) of an items table.

    Raises:
        DatasetError: see `read_item_ids`; or an embedding is not finite, or is wider than MAX_DIM.
    """
    table = read_columns(path, {"movie_id": pa.int64(), "embedding": pa.list_(pa.float32())})
    width = table["embedding"].type.list_size
    if not 1 <= width <= MAX_DIM:
        raise DatasetError(f"{path}: expected embeddings of 1 … {MAX_DIM} numbers; found {width}. Make it again.")
    missing = table["embedding"].combine_chunks().flatten().null_count
    embedding = embedding_matrix(table) if not missing else None
    if embedding is None or not all_finite(embedding):
        raise DatasetError(f"{path}: expected finite embeddings; found others. Pull it again or make it again.")
    return _ids(path, table), embedding.copy()


def for_dataset(items: pa.Table, digest: str) -> pa.Table:
    """An items table that says for which dataset it was made."""
    return items.replace_schema_metadata({DATASET: digest})


def made_for(path: Path) -> str | None:
    """The digest of the dataset that a table of `for_dataset` was made for; None if it does not say.

    Raises:
        DatasetError: it is no Parquet table.
    """
    try:
        digest = (pq.read_schema(path).metadata or {}).get(DATASET)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(
            f"{path}: expected a table of items; found {error}. Make it with marquee embed-items."
        ) from error
    return None if digest is None else digest[:64].decode("utf-8", "replace")


def _ids(path: Path, table: pa.Table) -> NDArray[np.int64]:
    ids: NDArray[np.int64] = array_of(table["movie_id"].combine_chunks())
    if not len(ids) or not ascending(ids):
        raise DatasetError(
            f"{path}: expected ascending movie ids; found {ids[:5].tolist()}. Pull it again or make it again."
        )
    return ids
