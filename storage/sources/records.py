"""Rows of CSV, JSON-lines and Parquet files by column name, each with its line."""

import json
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows
from storage.sources.csv_records import COMMA, CsvFormat, CsvRecord, csv_records, read_header
from storage.sources.packed_files import JSON_LINES, line_blocks, open_plain
from storage.sources.parquet_files import ParquetTable

BATCH_ROWS = 8192


class NamedRow(NamedTuple):
    """One row of a table by column name."""

    line: int  # number of the line or of the Parquet row, 1-based
    values: dict[str, Any]


class Records(NamedTuple):
    """A table whose rows are read one after another."""

    name: str  # of the file, or of the member in the archive
    columns: tuple[str, ...]  # empty for JSON lines
    rows: Iterator[NamedRow]


def open_records(path: Path, bad: BadRows, form: CsvFormat = COMMA, wanted: Collection[str] | None = None) -> Records:
    """Open a .csv, JSON-lines (.jsonl, .ndjson, .json), .parquet file, or one of the first two in .gz or .zip.

    Args:
        path: of the file.
        bad: takes the rows that cannot be split into fields, while the rows are read.
        form: format of a CSV file.
        wanted: the columns that are used, None: all; of a Parquet file no others are read.

    Raises:
        MetadataError: the file is not what its name says; while reading: it is damaged, or a row is broken and `bad`
            rejects it.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet_records(path, wanted)
    name, stream = open_plain(path)
    lines = chain.from_iterable(line_blocks(stream, path))
    if name.lower().endswith(JSON_LINES):
        return Records(name, (), _json_rows(name, lines, bad))
    records = csv_records(lines, form)
    columns, first = read_header(path, records, form)
    if not form.header:
        records = chain([first], records)
    return Records(name, columns, _csv_rows(name, columns, records, bad))


def _csv_rows(name: str, columns: tuple[str, ...], records: Iterator[CsvRecord], bad: BadRows) -> Iterator[NamedRow]:
    for record in records:
        problem = record.problem
        if problem is None and len(record.fields) != len(columns):
            problem = f"expected {len(columns)} fields; found {len(record.fields)}"
        if problem is not None:
            bad.add(name, record.line, problem, record.text, MetadataError)
            continue
        yield NamedRow(record.line, dict(zip(columns, record.fields, strict=True)))


def _json_rows(name: str, lines: Iterator[bytes], bad: BadRows) -> Iterator[NamedRow]:
    for line, data in enumerate(lines, 1):
        if not data.strip():
            continue
        try:
            values = json.loads(data)
            if not isinstance(values, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            bad.add(
                name,
                line,
                f"expected one JSON object in the line; found: {error}"[:200],
                repr(data[:200]),
                MetadataError,
            )
            continue
        yield NamedRow(line, values)


def _parquet_records(path: Path, wanted: Collection[str] | None) -> Records:
    table = ParquetTable(path, MetadataError)
    names = tuple(table.schema.names)
    return Records(path.name, names, _parquet_rows(table, [name for name in names if wanted is None or name in wanted]))


def _parquet_rows(table: ParquetTable, columns: list[str]) -> Iterator[NamedRow]:
    row = 0
    for batch in table.batches(BATCH_ROWS, columns):
        for values in batch.to_pylist():
            row += 1
            yield NamedRow(row, values)
