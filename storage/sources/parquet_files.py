"""Parquet tables, read in batches with bounds on pages, cells and rows: a file of 2 KB can unpack to terabytes."""

from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.errors import SourceError
from storage.sources.given_files import regular_file
from storage.sources.packed_files import MAX_LINE_BYTES, refuse_bombs
from storage.sources.parquet_pages import Chunk, column_chunks, page_headers

MAX_PAGE_BYTES = 128 << 20  # unpacked; most writers make pages of 1 MiB, and DuckDB up to 100 MB
MAX_PAGES = 1_000_000
MAX_NESTED_VALUES = 16 << 20  # of a column of lists in one row group, which may all belong to one row
MAX_CELL_BYTES = MAX_LINE_BYTES
MAX_FIXED_BYTES = 1 << 10  # of a value in a column of byte arrays of one length
MAX_BATCH_BYTES = 64 << 20
VALUE_BYTES = 8  # least that a row is counted with per column
BUFFER_BYTES = 1 << 20  # read at a time


class ParquetTable:
    """A table in a Parquet file; its schema is read when the object is made, its rows by `batches`.

    Attributes:
        schema: names and types of the columns.
    """

    def __init__(self, path: Path, error: type[SourceError]) -> None:
        """Read the schema.

        Args:
            path: of the file.
            error: the type of all errors.

        Raises:
            SourceError: (as `error`) there is no regular file, or it is no Parquet file.
        """
        self.path, self.error = regular_file(path, error), error
        try:
            with pq.ParquetFile(path) as file:
                self.schema: pa.Schema = file.schema_arrow
                self._leaves = [file.schema.column(place) for place in range(len(file.schema))]
        except (pa.ArrowException, OSError, ValueError) as problem:  # ValueError: names that are not UTF-8
            raise self._damaged(problem) from problem

    def batches(self, rows: int, columns: Collection[str]) -> Iterator[pa.RecordBatch]:
        """The rows in file order, in batches of at most 64 MiB; texts are stored value by value, not as a dictionary.

        Args:
            rows: the largest number of rows in a batch.
            columns: names of the columns that are read.

        Raises:
            SourceError: (as `error`) the file is damaged; a page, a cell or the whole table is too large; or a column
                holds maps.
        """
        for name in columns:
            if self.schema.names.count(name) != 1:
                raise self.error(
                    f"{self.path}: expected column {name} once; found {', '.join(self.schema.names)[:200]}. Correct "
                    "the file or the name."
                )
            if _has_maps(self.schema.field(name).type):
                found = f"{self.schema.field(name).type} in column {name}. Leave it out"
                raise self.error(f"{self.path}: expected numbers, texts, times and lists of them; found {found}.")
        leaves = [place for place, leaf in enumerate(self._leaves) if _is_of(leaf.path, columns)]
        self._check_pages(leaves)
        # A text that many rows share stays one text in a dictionary, so its size is known before it is repeated.
        texts = [leaf.path for leaf in map(self._leaves.__getitem__, leaves) if _is_text(leaf)]
        unpacked, stored = 0, self.path.stat().st_size
        try:
            with pq.ParquetFile(self.path, read_dictionary=texts, pre_buffer=False, buffer_size=BUFFER_BYTES) as file:
                for batch in file.iter_batches(rows, columns=list(columns)):
                    batch.validate(full=True)  # a damaged page can hold text that is not UTF-8
                    unpacked += max(_bytes_of(batch), VALUE_BYTES * batch.num_rows * batch.num_columns)
                    refuse_bombs(self.path, unpacked, stored, self.error)
                    for piece in self._pieces(batch):
                        yield pa.RecordBatch.from_arrays(list(map(_decoded, piece.columns)), names=piece.schema.names)
        except (pa.ArrowException, OSError, ValueError) as problem:
            raise self._damaged(problem) from problem

    def _check_pages(self, leaves: list[int]) -> None:
        """Check every page of some columns before any is unpacked."""
        for place in leaves:
            if (length := self._leaves[place].length) > MAX_FIXED_BYTES:
                raise self._too_large(
                    f"{MAX_FIXED_BYTES} bytes in a value", f"{length:,} in {self._leaves[place].path}"
                )
        pages = 0
        with self.path.open("rb") as stream:
            try:
                for chunks in column_chunks(stream.fileno()):
                    if len(chunks) != len(self._leaves):
                        raise ValueError(f"{len(chunks)} columns in a row group instead of {len(self._leaves)}")
                    for place in leaves:
                        pages += self._check_chunk(
                            stream.fileno(), self._leaves[place], chunks[place], MAX_PAGES - pages
                        )
            except (ValueError, OSError, OverflowError) as problem:
                raise self._damaged(problem) from problem

    def _check_chunk(self, descriptor: int, leaf: pq.ColumnSchema, chunk: Chunk, most_pages: int) -> int:
        """Check the pages of a column in one row group; returns their number."""
        if leaf.max_repetition_level and chunk.values > MAX_NESTED_VALUES:
            found = f"{chunk.values:,} in {leaf.path}: write smaller row groups"
            raise self._too_large(f"{MAX_NESTED_VALUES:,} list entries in a row group", found)
        pages = 0
        for page in page_headers(descriptor, chunk):
            pages += 1
            if page.unpacked_bytes > MAX_PAGE_BYTES:
                raise self._too_large(f"{MAX_PAGE_BYTES:,} bytes in a page", f"{page.unpacked_bytes:,} in {leaf.path}")
            if pages > most_pages:
                raise self._too_large(f"{MAX_PAGES:,} pages", "more")
        return pages

    def _pieces(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """The batch in pieces that stay small when their texts are repeated."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if (longest := _longest_text(column)) > MAX_CELL_BYTES:
                raise self._too_large(f"{MAX_CELL_BYTES:,} bytes in a cell", f"{longest:,} in column {name}")
        if (size := _bytes_of(batch)) <= MAX_BATCH_BYTES:
            yield batch
        elif batch.num_rows == 1:
            raise self._too_large(f"{MAX_BATCH_BYTES:,} bytes in a row", f"{size:,}")
        else:
            half = batch.num_rows // 2
            yield from self._pieces(batch.slice(0, half))
            yield from self._pieces(batch.slice(half))

    def _damaged(self, problem: Exception) -> SourceError:
        return self.error(f"{self.path}: expected a whole Parquet file; found: {problem}. Fetch it again.")

    def _too_large(self, expected: str, found: str) -> SourceError:
        return self.error(f"{self.path}: expected at most {expected}; found {found}. Leave the column or the file out.")


def _has_maps(kind: pa.DataType) -> bool:
    inner = [kind.field(place).type for place in range(kind.num_fields)]
    return bool(pa.types.is_map(kind)) or any(map(_has_maps, inner))


def _is_of(path: str, columns: Collection[str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in columns)


def _is_text(leaf: pq.ColumnSchema) -> bool:
    return bool(leaf.physical_type == "BYTE_ARRAY" and leaf.logical_type.type != "DECIMAL")


def _bytes_of(batch: pa.RecordBatch) -> int:
    """The bytes of a batch whose texts are stored value by value."""
    return sum(_dense_bytes(column) for column in batch.columns)


def _dense_bytes(array: pa.Array) -> int:
    if isinstance(array, pa.DictionaryArray):
        lengths = pc.fill_null(pc.binary_length(array.dictionary), 0).take(array.indices)
        return VALUE_BYTES * len(array) + int(pc.sum(lengths.cast(pa.int64())).as_py() or 0)
    own = VALUE_BYTES * len(array)
    return own + sum(map(_dense_bytes, _inner(array))) if pa.types.is_nested(array.type) else max(own, array.nbytes)


def _longest_text(array: pa.Array) -> int:
    if isinstance(array, pa.DictionaryArray):
        return int(pc.max(pc.binary_length(array.dictionary)).as_py() or 0)
    return max(map(_longest_text, _inner(array)), default=0) if pa.types.is_nested(array.type) else 0


def _inner(array: pa.Array) -> list[pa.Array]:
    """The arrays within a nested one, of its rows only."""
    found = array.flatten()
    return found if isinstance(found, list) else [found]


def _decoded(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array
