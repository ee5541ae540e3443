"""Read Parquet tables that others may have written: known columns, no nulls, a bounded size."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import DatasetError

MAX_CELLS = 1 << 30  # a small file can declare any number of rows


def read_columns(path: Path, columns: Mapping[str, pa.DataType], nullable: Collection[str] = ()) -> pa.Table:
    """Some columns of a table.

    Args:
        path: the table.
        columns: their types by name. A list of float32 stands for lists of one length; a string also for a large string.
        nullable: the columns that may have nulls.

    Raises:
        DatasetError: the file is missing or damaged, a column is missing, of another type or has nulls, or it is too large.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            found = {name: schema.field(name).type if schema.names.count(name) == 1 else None for name in columns}
            if not all(_is(found[name], wanted) for name, wanted in columns.items()):
                raise _refused(path, f"columns {_named(columns)}", _named(found))
            cells = sum(rows * getattr(kind, "list_size", 1) for kind in found.values())
            if cells > MAX_CELLS:
                raise _refused(path, f"at most {MAX_CELLS:,} values", f"{cells:,}")
            table = file.read(columns=list(columns)).replace_schema_metadata(None)  # which pandas would believe
        table.validate(full=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _refused(path, "a whole Parquet table", error) from error
    nulls = [name for name in columns if name not in nullable and table[name].null_count]
    if nulls:
        raise _refused(path, "no nulls", f"some in {nulls}")
    return table


def _is(found: pa.DataType | None, wanted: pa.DataType) -> bool:
    if wanted == pa.list_(pa.float32()):
        return isinstance(found, pa.FixedSizeListType) and bool(found.value_type == wanted.value_type)
    return bool(found == wanted or (wanted == pa.string() and found == pa.large_string()))


def _named(columns: Mapping[str, pa.DataType | None]) -> str:
    return ", ".join(f"{name} {kind if kind is not None else 'missing'}" for name, kind in columns.items())


def _refused(path: Path, expected: str, found: object) -> DatasetError:
    return DatasetError(f"{path}: expected {expected}; found {found}. Pull it again or make it again.")
