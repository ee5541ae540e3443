"""Read the sizes of the pages of a Parquet file before the pages are unpacked.

A page may declare any unpacked size up to 2 GiB in a header of a few bytes, and a reader allocates it. The footer may say
less than the pages do, so the headers themselves are read. Footer and headers are structs of parquet-format in Thrift's
compact protocol. The footer is read here too, because `pyarrow` aborts the process at some damaged ones
(`RowGroupMetaData.column`).
"""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

MAGIC = b"PAR1"
HEADER_BYTES = (1 << 10, 1 << 16, 8 << 20)  # read at first, and if the header (it may hold two values) is longer
MAX_DEPTH = 16
ROW_GROUPS, COLUMNS, META_DATA = 4, 1, 3  # numbers of fields, in FileMetaData, RowGroup and ColumnChunk
NUM_VALUES, DATA_PAGE_OFFSET, DICTIONARY_PAGE_OFFSET = 5, 9, 11  # in ColumnMetaData
ABOUT = {0: 5, 3: 8}  # in PageHeader: the kinds of pages with values, and the field that describes them

Fields = dict[int, Any]  # number of a field → its value


class Chunk(NamedTuple):
    """One column in one row group."""

    start: int  # byte at which its first page begins
    values: int  # with nulls; a reader stops after them


class Page(NamedTuple):
    """The header of one page."""

    unpacked_bytes: int
    values: int  # with nulls; 0 in a page of a dictionary


def column_chunks(descriptor: int) -> list[list[Chunk]]:
    """The columns of each row group of an open file, in the order of the schema's leaves.

    Raises:
        ValueError: there is no whole footer.
    """
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, 8, max(0, size - 8))
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != MAGIC or length > size - 8:
        raise ValueError("no footer")
    try:
        footer = _Compact(os.pread(descriptor, length, size - 8 - length)).struct()
    except IndexError:
        raise ValueError("a torn footer") from None
    groups = _part(footer, ROW_GROUPS, list)
    return [[_chunk(column) for column in _part(group, COLUMNS, list)] for group in groups]


def page_headers(descriptor: int, chunk: Chunk) -> Iterator[Page]:
    """The headers of the pages of one column in one row group.

    Raises:
        ValueError: there is no whole page header where one must be.
    """
    start, left = chunk
    while left > 0:
        fields, length = _header(descriptor, start)
        kind, unpacked, packed = (_part(fields, number, int) for number in (1, 2, 3))
        values = _part(_part(fields, ABOUT[kind], dict), 1, int) if kind in ABOUT else 0
        yield Page(unpacked, values)
        start += length + packed
        left -= values


def _chunk(column: Any) -> Chunk:
    about = _part(column, META_DATA, dict)
    starts = [_part(about, DATA_PAGE_OFFSET, int), about.get(DICTIONARY_PAGE_OFFSET)]
    return Chunk(min(start for start in starts if isinstance(start, int) and start > 0), _part(about, NUM_VALUES, int))


def _part(fields: Any, number: int, kind: type) -> Any:
    """A field of a struct; a number is not negative."""
    found = fields.get(number) if isinstance(fields, dict) else None
    if not isinstance(found, kind) or (isinstance(found, int) and found < 0):
        raise ValueError(f"{found} in field {number} of a header")
    return found


def _header(descriptor: int, start: int) -> tuple[Fields, int]:
    """The fields of the page header at a place of the file, and its length in bytes."""
    for size in HEADER_BYTES:
        data = os.pread(descriptor, size, start)
        try:
            reader = _Compact(data)
            return reader.struct(), reader.at
        except IndexError:
            if len(data) < size:
                break
    raise ValueError("no whole page header")


class _Compact:
    """Reads values in Thrift's compact protocol; IndexError: the data ends within a value."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.depth = data, 0, 0

    def struct(self) -> Fields:
        """A struct; its texts are None."""
        fields: Fields = {}
        number = 0
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError("a header that is nested too deeply")
        while head := self.byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self.integer()
            fields[number] = kind == 1 if kind in (1, 2) else self.value(kind)
        self.depth -= 1
        return fields

    def value(self, kind: int) -> Any:
        """A value of one of the protocol's kinds."""
        if kind in (1, 2, 3):  # in lists, booleans take a byte too
            return self.byte()
        if kind in (4, 5, 6):
            return self.integer()
        if kind == 12:
            return self.struct()
        if kind in (9, 10):
            head = self.byte()
            return [self.value(head & 15) for _ in range(head >> 4 if head >> 4 < 15 else self.varint())]
        if kind not in (7, 8):
            raise ValueError(f"a value of kind {kind} in a header")
        length = 8 if kind == 7 else self.varint()  # of a double, or of bytes
        self.at += length
        if self.at > len(self.data):
            raise IndexError
        return None

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        found = shift = 0
        while shift < 70:
            part = self.byte()
            found |= (part & 127) << shift
            if part < 128:
                return found
            shift += 7
        raise ValueError("a number of more than 10 bytes in a header")

    def integer(self) -> int:
        found = self.varint()
        return (found >> 1) ^ -(found & 1)
