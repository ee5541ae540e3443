"""Rows of CSV, JSON-lines and Parquet files, plain, gzipped or zipped, each with its line; bounded in size and memory."""

import csv
import gzip
import io
import json
import re
import zipfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, model_validator

from storage.errors import MetadataError, SourceError
from storage.files import kind_of
from storage.sources.rows import BadRows

MAX_UNPACKED_BYTES = 16 << 30
MAX_RATIO, RATIO_COUNTS_FROM = 200, 64 << 20  # the best real dump shrinks about tenfold
MAX_LINE_BYTES = 4 << 20
MAX_RECORD_LINES = 1000
BLOCK_BYTES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
JSON_LINES = (".jsonl", ".ndjson", ".json")
TABLES = (".csv", ".tsv", *JSON_LINES)
UNDECODED = re.compile(r"[\udc80-\udcff]")  # bytes that are no text, as "surrogateescape" keeps them


class CsvFormat(BaseModel):
    """How a CSV file is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    delimiter: str = Field(",", min_length=1, max_length=1, description="What parts the cells of a row.")
    quote: str | None = Field(
        '"', min_length=1, max_length=1, description="What encloses cells; null: quotes are text."
    )
    escape: str | None = Field(None, min_length=1, max_length=1, description="What makes the next character plain.")
    encoding: str = Field("utf-8", description="Any in which ASCII stands for itself: utf-8, latin-1, cp1252 …")
    header: bool = Field(True, description="Whether the first line names the columns; else they are called 1, 2, 3 …")

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        marks = [mark for mark in (self.delimiter, self.quote, self.escape) if mark is not None]
        if len(set(marks)) < len(marks) or not all(mark.isascii() and mark not in "\r\n" for mark in marks):
            raise ValueError(
                f"CSV format: expected different ASCII characters as delimiter, quote, escape; found {marks}."
            )
        ascii_text = "".join(map(chr, range(32, 127))) + "\t\r\n"
        try:
            plain = ascii_text.encode(self.encoding) == ascii_text.encode("ascii")
        except (LookupError, ValueError):
            plain = False
        if not plain:
            raise ValueError(
                f"CSV format: expected an encoding in which ASCII stands for itself, as utf-8; found {self.encoding!r}."
            )
        return self


COMMA = CsvFormat()


class CsvRecord(NamedTuple):
    """One record of a CSV file, or what is wrong with it."""

    line: int  # its first, 1-based
    fields: list[str]
    text: str
    problem: str | None  # expected …; found …


class Record(NamedTuple):
    """One row of a table by name of column."""

    line: int  # 1-based; in Parquet files the row's number
    values: dict[str, Any]


class Records(NamedTuple):
    """A table that is read row by row."""

    name: str  # of the file, or of the member in the archive
    columns: tuple[str, ...]  # empty for JSON lines
    rows: Iterator[Record]


class _Capped(io.RawIOBase):
    """A stream that stops with a typed error at damage, and at more bytes than can be meant."""

    def __init__(self, inner: Any, path: Path, stored_bytes: int, error: type[SourceError]) -> None:
        self._inner, self._path, self._stored, self._error, self._bytes = inner, path, stored_bytes, error, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except (EOFError, OSError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise self._error(f"{self._path}: expected a whole file; found: {error}. Fetch it again.") from error
        self._bytes += len(data)
        _refuse_bombs(self._path, self._bytes, self._stored, self._error)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()


def _refuse_bombs(path: Path, unpacked: int, stored: int, error: type[SourceError]) -> None:
    if unpacked > RATIO_COUNTS_FROM and unpacked > min(MAX_RATIO * stored, MAX_UNPACKED_BYTES):
        raise error(
            f"{path}: expected at most {MAX_UNPACKED_BYTES >> 30} GiB and {MAX_RATIO} times the packed size; found "
            f"{unpacked} bytes or more of {stored}. This is no honest archive of a table: leave it out."
        )


def open_plain(path: Path, error: type[SourceError] = MetadataError) -> tuple[str, BinaryIO]:
    """Open a file, unpacked if it ends in .gz or .zip (of one table).

    Returns: the name without .gz, or the member's, and the stream.

    Raises:
        SourceError: (as `error`) no file, an empty one, a web page, or a broken archive; while reading, damage or a bomb.
    """
    try:
        with path.open("rb") as stream:
            kind = kind_of(stream.read(512))
    except OSError as problem:
        raise error(
            f"{path}: expected a readable file; found: {problem.strerror or problem}. Check the path."
        ) from None
    packed = path.suffix.lower() in (".gz", ".zip")
    if kind == "empty":
        raise error(f"{path}: expected a table; the file is empty. Fetch it again.")
    if kind == "a web page" or (kind == "an archive" and not packed):
        raise error(f"{path}: expected a {path.suffix or 'table'} file; found {kind}. Unpack or fetch it again.")
    if not packed:
        return path.name, path.open("rb")
    stored = path.stat().st_size
    if path.suffix.lower() == ".gz":
        inner: Any = gzip.open(path)  # noqa: SIM115 (closed with the stream around it)
        return path.name[:-3], io.BufferedReader(_Capped(inner, path, stored, error), 1 << 20)
    try:
        archive = zipfile.ZipFile(path)
        members = [
            member
            for member in archive.infolist()
            if member.filename.lower().endswith(TABLES)
            and not any(part.startswith((".", "__MACOSX")) for part in Path(member.filename).parts)
        ]
        if len(members) != 1:
            names = ", ".join(member.filename[:60] for member in archive.infolist()[:5])
            raise error(f"{path}: expected one .csv (or JSON-lines file) in the archive; found {names or 'nothing'}.")
        _refuse_bombs(path, members[0].file_size, stored, error)
        inner = archive.open(members[0])
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError) as problem:
        raise error(f"{path}: expected a zip archive; found something else ({problem}). Fetch it again.") from problem
    return members[0].filename, io.BufferedReader(_Capped(inner, path, stored, error), 1 << 20)


def line_blocks(stream: BinaryIO, path: Path, error: type[SourceError] = MetadataError) -> Iterator[list[bytes]]:
    """The lines of a stream without LF, thousands at a time; the first without a byte-order mark.

    Raises:
        SourceError: (as `error`) a line of more than 4 MiB.
    """
    rest, number = b"", 0
    while chunk := stream.read(BLOCK_BYTES):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        if len(rest) > MAX_LINE_BYTES:
            raise error(
                f"{path}, line {number + len(lines) + 1}: expected at most {MAX_LINE_BYTES >> 20} MiB in a line; found "
                "more. This is no table of lines: fetch it again or leave it out."
            )
        if not number and lines:
            lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)
        number += len(lines)
        if lines:
            yield lines
    if rest:
        yield [rest if number else rest.removeprefix(BYTE_ORDER_MARK)]


def csv_records(lines: Iterable[bytes], form: CsvFormat = COMMA, first_line: int = 1) -> Iterator[CsvRecord]:
    """The records of a CSV file; a quoted field may hold line ends, a broken record does not take others with it.

    Args:
        lines: with or without their LF.
        form: how the file is written.
        first_line: the number of the first line.
    """
    csv.field_size_limit(2 * MAX_LINE_BYTES)
    source = iter(lines)
    waiting: deque[str] = deque()  # lines that a broken record had swallowed
    taken: list[str] = []  # lines of the current record

    def feed() -> Iterator[str]:
        while True:
            if waiting:
                line = waiting.popleft()
            elif (data := next(source, None)) is not None:
                line = data.decode(form.encoding, "surrogateescape").removesuffix("\n")
            else:
                return
            taken.append(line)
            if len(taken) > MAX_RECORD_LINES:
                raise csv.Error(f"more than {MAX_RECORD_LINES} lines in a field")
            yield line + "\n"

    reader = _reader(feed(), form)
    number = first_line
    while True:
        taken.clear()
        fields, problem = [], None
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"expected a row with its quotes closed; found: {error}"
            waiting.extendleft(reversed(taken[1:]))
            del taken[1:]
            reader = _reader(feed(), form)
        whole = "\n".join(taken)
        if not whole.isascii() and UNDECODED.search(whole):
            problem = f"expected {form.encoding} text; found other bytes"
            whole = UNDECODED.sub("\N{REPLACEMENT CHARACTER}", whole)
        if fields or problem:  # else a blank line
            yield CsvRecord(number, fields, whole, problem)
        number += len(taken)


def _reader(lines: Iterator[str], form: CsvFormat) -> Iterator[list[str]]:
    return csv.reader(
        lines,
        delimiter=form.delimiter,
        quotechar=form.quote,
        quoting=csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE,
        escapechar=form.escape,
        strict=True,
    )


def open_records(path: Path, bad: BadRows, form: CsvFormat = COMMA) -> Records:
    """Open a .csv, JSON-lines (.jsonl, .ndjson, .json), .parquet file, or one of the first two in .gz or .zip.

    Rows that cannot be taken apart go to `bad` while rows are read.

    Raises:
        MetadataError: the file is not what its name says; while reading, damage or (if `bad` rejects) a broken row.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet_records(path)
    name, stream = open_plain(path)
    lines = chain.from_iterable(line_blocks(stream, path))
    if name.lower().endswith(JSON_LINES):
        return Records(name, (), _json_rows(name, lines, bad))
    records = csv_records(lines, form)
    columns, first = read_header(path, records, form)
    if not form.header:
        records = chain([first], records)
    return Records(name, columns, _csv_rows(name, columns, records, bad))


def read_header(
    path: Path, records: Iterator[CsvRecord], form: CsvFormat, error: type[SourceError] = MetadataError
) -> tuple[tuple[str, ...], CsvRecord]:
    """The names of the columns, and the first record, which is data where the file has no header.

    Raises:
        SourceError: (as `error`) there is no readable first record.
    """
    first = next(records, None)
    if first is None or first.problem:
        found = first.problem if first else "nothing but blank lines"
        raise error(f"{path}: expected a CSV table with a header; found: {found}. Fetch it again.")
    if form.header:
        return tuple(field.strip() for field in first.fields), first
    return tuple(str(place + 1) for place in range(len(first.fields))), first


def _csv_rows(name: str, columns: tuple[str, ...], records: Iterator[CsvRecord], bad: BadRows) -> Iterator[Record]:
    for record in records:
        problem = record.problem
        if problem is None and len(record.fields) != len(columns):
            problem = f"expected {len(columns)} fields; found {len(record.fields)}"
        if problem is not None:
            bad.add(name, record.line, problem, record.text, MetadataError)
            continue
        yield Record(record.line, dict(zip(columns, record.fields, strict=True)))


def _json_rows(name: str, lines: Iterator[bytes], bad: BadRows) -> Iterator[Record]:
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
        yield Record(line, values)


def _parquet_records(path: Path) -> Records:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise MetadataError(f"{path}: expected a Parquet file; found: {error}. Fetch it again.") from error
    return Records(path.name, tuple(file.schema_arrow.names), _parquet_rows(path, file))


def _parquet_rows(path: Path, file: pq.ParquetFile) -> Iterator[Record]:
    row = 0
    try:
        for batch in file.iter_batches(8192):
            for values in batch.to_pylist():
                row += 1
                yield Record(row, values)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise MetadataError(f"{path}: expected a whole Parquet file; found: {error}. Fetch it again.") from error
