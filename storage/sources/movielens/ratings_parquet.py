"""Read a ratings table in Parquet as lines of text, so that both kinds of table are checked by the same grammar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import RatingsSchemaError, SourceError
from storage.sources.parquet_files import ParquetTable

BATCH_ROWS = 1 << 17
DELIMITER = b","


@contextmanager
def parquet_lines(path: Path, names: tuple[str, str, str, str]) -> Iterator[Iterator[Callable[[], bytes]]]:
    """The rows of a file in blocks of lines, one line per row; each block is a function, so that threads can call them.

    Args:
        path: the file.
        names: columns of user, movie, rating and timestamp; the file may have them in any order, and further columns.

    Raises:
        RatingsSchemaError: a column is missing, or holds neither numbers nor points in time.
        SourceError: this is no Parquet file; while reading: see `ParquetTable.batches`.
    """
    table = ParquetTable(path, SourceError)
    _check(path, names, table.schema)
    yield (partial(_lines_of, batch, names) for batch in table.batches(BATCH_ROWS, names))


def _check(path: Path, names: tuple[str, ...], schema: pa.Schema) -> None:
    if any(schema.names.count(name) != 1 for name in names):
        raise RatingsSchemaError(
            f"{path}: expected columns {','.join(names)}, each once; found {','.join(schema.names)[:200]}. "
            "Set `columns=` in SourceParams to map them."
        )
    for name in names:
        kind = schema.field(name).type
        if not (_is_number(kind) or (name == names[-1] and pa.types.is_timestamp(kind))):
            raise RatingsSchemaError(
                f"{path}: expected numbers in column {name}; found {kind}. Convert the column, or read the file as a "
                "generic source, which takes ids of any form."
            )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _lines_of(batch: pa.RecordBatch, names: tuple[str, ...]) -> bytes:
    """The rows as lines; a null is an empty field."""
    lines = pc.binary_join_element_wise(
        *(_text_of(batch.column(name)) for name in names), DELIMITER.decode(),
        null_handling="replace", null_replacement="",
    )  # fmt: skip
    return b"".join(line + b"\n" for line in lines.cast(pa.binary()).to_pylist())


def _text_of(column: pa.Array) -> pa.StringArray:
    if pa.types.is_timestamp(column.type):  # whole seconds, rounded down
        column = pc.floor_temporal(column, unit="second").cast(pa.timestamp("s", column.type.tz)).cast(pa.int64())
    return column.cast(pa.string())
