"""Records of CSV files in a declared format; the reader continues after a broken record."""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from storage.errors import MetadataError, SourceError
from storage.sources.packed_files import MAX_LINE_BYTES

MAX_RECORD_LINES = 1000
MAX_RECORD_BYTES = 2 * MAX_LINE_BYTES
# Lines that broken records swallowed are read again. After so many bytes of them in one file (a line costs LINE_COST bytes
# more), a record must end on its line: else a file of unclosed quotes would be read a thousand times.
MAX_READ_AGAIN_BYTES, LINE_COST = 128 << 20, 64
UNDECODED = re.compile(r"[\udc80-\udcff]")  # bytes of another encoding, as "surrogateescape" keeps them


class CsvFormat(BaseModel):
    """Format of a CSV file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    delimiter: str = Field(",", min_length=1, max_length=1, description="Separator of the cells of a row.")
    quote: str | None = Field(
        '"', min_length=1, max_length=1, description="Character around cells; null: quotes are text."
    )
    escape: str | None = Field(
        None, min_length=1, max_length=1, description="Character that makes the next one literal."
    )
    encoding: str = Field("utf-8", description="An encoding that extends ASCII: utf-8, latin-1, cp1252 …")
    header: bool = Field(
        True, description="Whether the first line names the columns; if not, the columns are named 1, 2, 3 …"
    )

    @model_validator(mode="after")
    def _is_unambiguous(self) -> Self:
        marks = [mark for mark in (self.delimiter, self.quote, self.escape) if mark is not None]
        if len(set(marks)) < len(marks) or not all(mark.isascii() and mark not in "\r\n" for mark in marks):
            raise ValueError(
                f"CSV format: expected different ASCII characters as delimiter, quote, escape; found {marks}. Set those of the file."
            )
        ascii_text = "".join(map(chr, range(32, 127))) + "\t\r\n"
        try:
            plain = ascii_text.encode(self.encoding) == ascii_text.encode("ascii")
        except (LookupError, ValueError):
            plain = False
        if not plain:
            raise ValueError(
                f"CSV format: expected an encoding that extends ASCII, such as utf-8; found {self.encoding!r}. Convert the file."
            )
        return self


COMMA = CsvFormat()


class CsvRecord(NamedTuple):
    """One record of a CSV file, or the reason why it is broken."""

    line: int  # number of its first line, 1-based
    fields: list[str]
    text: str
    problem: str | None  # expected …; found …


def csv_records(lines: Iterable[bytes], form: CsvFormat = COMMA, first_line: int = 1) -> Iterator[CsvRecord]:
    """The records of a CSV file; a quoted field may hold line ends, and the lines that a broken record swallowed are read again.

    A record has at most MAX_RECORD_LINES lines and MAX_RECORD_BYTES bytes.

    Args:
        lines: with or without their LF.
        form: format of the file.
        first_line: the number of the first line.
    """
    csv.field_size_limit(MAX_RECORD_BYTES)
    source = iter(lines)
    waiting: deque[str] = deque()  # lines that a broken record swallowed, to be read again
    taken: list[str] = []  # lines of the current record
    to_spare = MAX_READ_AGAIN_BYTES

    def feed() -> Iterator[str]:
        size = 0
        while True:
            if not taken:
                size = 0
            if waiting:
                line = waiting.popleft()
            elif (data := next(source, None)) is not None:
                line = data.decode(form.encoding, "surrogateescape").removesuffix("\n")
            else:
                return
            taken.append(line)
            size += len(line)
            most_lines = MAX_RECORD_LINES if to_spare > 0 else 1
            if len(taken) > most_lines or size > MAX_RECORD_BYTES:
                raise csv.Error(f"more than {most_lines} lines or {MAX_RECORD_BYTES >> 20} MiB in a field")
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
            to_spare -= sum(len(line) + LINE_COST for line in taken[1:])
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


def read_header(
    path: Path, records: Iterator[CsvRecord], form: CsvFormat, error: type[SourceError] = MetadataError
) -> tuple[tuple[str, ...], CsvRecord]:
    """The names of the columns, and the first record; without a header this record is data.

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
