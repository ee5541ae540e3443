"""Reads the text tables of MovieLens releases strictly: a row that is not well-formed goes to `BadRows`."""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from storage.errors import RatingsSchemaError, SourceError
from storage.files import kind_of
from storage.sources.bad_rows import MAX_TEXT_CHARS, BadRows

MAX_LINES_OF_A_ROW = 100  # an open quote that spans more lines is taken for a stray one
MAX_TABLE_BYTES = 1 << 30  # the largest table of items or tags today, tags.csv of ml-latest, has less than a tenth
MAX_DIGITS = 18  # of a whole number: fits int64


@dataclass(frozen=True)
class TextFormat:
    """The text format of a table."""

    delimiter: str = ","
    quoted: bool = True  # RFC 4180: quotes around a whole field, doubled inside, line ends allowed within
    header: bool = True
    # The first that decodes the whole file is used; else the last, and lines that it cannot decode are set aside.
    encodings: tuple[str, ...] = ("utf-8",)
    free: int | None = None  # the column that may contain the delimiter, in formats without quotes


CSV = TextFormat()


class TextRow(NamedTuple):
    """One well-formed row."""

    line: int  # 1-based, of its first line
    fields: list[str]
    text: str  # as in the file


def read_rows(path: Path, columns: tuple[str, ...], bad: BadRows, dialect: TextFormat = CSV) -> Iterator[TextRow]:
    """The well-formed rows of a text table, their fields in the order of `columns`; blank lines are skipped.

    Lines end with LF or CRLF; a byte-order mark is allowed. Set aside: lines with a NUL or with bytes of another encoding,
    with quotes that are not around a whole field, or with too few or too many fields. After a quote that is never closed,
    reading continues with the next line.

    Args:
        path: of the file, which is read into memory.
        columns: their names; the header may have more, in any order. Without a header: all columns in order.
        bad: takes the rows that cannot be used.
        dialect: format of the file.

    Raises:
        SourceError: the file is empty, a web page, an archive or larger than MAX_TABLE_BYTES.
        RatingsSchemaError: the header lacks a column.
    """
    data = read_table_bytes(path)
    if not dialect.header:
        yield from parsed_rows(data, 1, len(columns), path.name, bad, dialect)
        return
    head, _, body = data.partition(b"\n")
    names = header_names(path, head, columns)
    places = [names.index(name) for name in columns]
    as_they_are = places == list(range(len(names)))
    for row in parsed_rows(body, 2, len(names), path.name, bad, dialect):
        yield row if as_they_are else row._replace(fields=[row.fields[place] for place in places])


def read_table_bytes(path: Path) -> bytes:
    """The bytes of a text table, without a byte-order mark.

    Raises:
        SourceError: there is no such file, or it is empty, a web page, an archive or larger than MAX_TABLE_BYTES.
    """
    if not path.is_file():
        raise SourceError(f"{path}: expected a file; found none. Check the path.")
    if (size := path.stat().st_size) > MAX_TABLE_BYTES:
        raise SourceError(
            f"{path}: expected at most {MAX_TABLE_BYTES:,} bytes, because it is read into memory; found {size:,}. Check "
            "that this is the right file."
        )
    data = path.read_bytes()
    refuse_other_kinds(path, data[:65536])
    return data.removeprefix(codecs.BOM_UTF8)


def refuse_other_kinds(path: Path, head: bytes) -> None:
    """Refuse a file whose first bytes show that it is not a text table.

    Raises:
        SourceError: the file is empty, a web page or an archive.
    """
    kind = kind_of(head)
    if kind == "empty":
        raise SourceError(f"{path}: expected a table; the file is empty. Fetch it again.")
    if kind is not None:
        raise SourceError(f"{path}: expected a table; found {kind}. Unpack or fetch it again.")


def header_names(path: Path, head: bytes, columns: tuple[str, ...]) -> list[str]:
    """The column names in a CSV header.

    Raises:
        RatingsSchemaError: one of `columns` is missing, or a name is repeated.
    """
    names = [name.strip().strip('"') for name in head.decode("utf-8-sig", "replace").split(",")]
    if not set(columns) <= set(names) or len(set(names)) < len(names):
        raise RatingsSchemaError(
            f"{path}: expected columns {','.join(columns)}, each once; found {','.join(names)[:200]}. Fetch it again."
        )
    return names


def parsed_rows(
    data: bytes, first_line: int, width: int, file: str, bad: BadRows, dialect: TextFormat
) -> Iterator[TextRow]:
    """The well-formed rows of a part of a table that begins with a row; other rows go to `bad` (see `read_rows`)."""
    text, encoding, whole = _decode(data, dialect.encodings)
    suspicious = not whole or "\0" in text
    lines = text.split("\n")
    split = _splitter(dialect, width)
    place = 0
    while place < len(lines):
        first, line = place, lines[place]
        place += 1
        if line.endswith("\r"):
            line = line[:-1]
        if not line or line.isspace():
            continue
        number = first_line + first
        if suspicious and (wrong := _wrong_characters(line, encoding)):
            bad.add(file, number, wrong, _printable(line, encoding))
            continue
        if dialect.quoted and ('"' in line or "\r" in line):
            line, place = _whole_record(lines, first, line)
            fields = split_quoted(line, dialect.delimiter)
            if suspicious and _wrong_characters(line, encoding):
                fields = None
            if fields is None:
                place = first + 1
                found = "one that is not closed" if lines[first].count('"') % 2 else "one within, or text after it"
                if '"' not in lines[first]:
                    found = "a carriage return without them"
                reason = f"expected quotes around whole fields, doubled inside; found {found}"
                bad.add(file, number, reason, _printable(lines[first].rstrip("\r"), encoding))
                continue
        else:
            fields = split(line)
        if len(fields) == width:
            yield TextRow(number, fields, line)
        else:
            place = first + 1
            bad.add(file, number, f"expected {width} fields; found {len(fields)}", _printable(line, encoding))


def split_quoted(record: str, delimiter: str = ",") -> list[str] | None:
    """The fields of one CSV record, quotes taken off; None if a quote is not around a whole field."""
    field = _field_pattern(delimiter)
    fields, place = [], 0
    while match := field.match(record, place):
        fields.append(match[1].replace('""', '"') if match[1] is not None else match[2])
        if not match[3]:
            return fields
        place = match.end()
    return None


def whole_number(text: str) -> int | None:
    """A number of 1 to 18 ASCII digits, else None; `int` alone would accept signs, underscores and digits of other scripts."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None


@cache
def _field_pattern(delimiter: str) -> re.Pattern[str]:
    one = re.escape(delimiter)
    return re.compile(rf'(?:"((?:[^"]++|"")*+)"|([^"\r\n{one}]*+))({one}|\Z)')


def _splitter(dialect: TextFormat, width: int) -> Callable[[str], list[str]]:
    delimiter, free = dialect.delimiter, dialect.free
    if free is None:
        return lambda line: line.split(delimiter)

    def around(line: str) -> list[str]:
        head = line.split(delimiter, free)
        return head[:-1] + head[-1].rsplit(delimiter, width - free - 1)

    return around


def _whole_record(lines: list[str], first: int, line: str) -> tuple[str, int]:
    """A record that an open quote continues over several lines, and the index of the next line; one line if it never closes."""
    if line.count('"') % 2 == 0:
        return line, first + 1
    parts, open_quote = [lines[first]], True
    for place in range(first + 1, min(first + MAX_LINES_OF_A_ROW, len(lines))):
        parts.append(lines[place])
        open_quote ^= lines[place].count('"') % 2 == 1
        if not open_quote:
            return "\n".join(parts).removesuffix("\r"), place + 1
    return line, first + 1


def _decode(data: bytes, encodings: tuple[str, ...]) -> tuple[str, str, bool]:
    """The text, the encoding that was used, and whether it decoded all bytes."""
    for encoding in encodings:
        try:
            return data.decode(encoding), encoding, True
        except UnicodeDecodeError:
            continue
    return data.decode(encodings[-1], "surrogateescape"), encodings[-1], False


def _wrong_characters(line: str, encoding: str) -> str | None:
    if "\0" in line:
        return "expected text; found a NUL byte"
    if match := re.search("[\udc80-\udcff]", line):
        return f"expected {encoding.upper()}; found the byte 0x{ord(match[0]) - 0xDC00:02x}"
    return None


def _printable(line: str, encoding: str) -> str:
    """The start of a line as text that UTF-8 can encode, whatever bytes were in it."""
    return line[:MAX_TEXT_CHARS].encode(encoding, "surrogateescape").decode(encoding, "replace")
