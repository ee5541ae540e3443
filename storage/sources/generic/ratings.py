"""Read the ratings of a generic source from CSV or Parquet, in file order.

A block is converted at once; a block with a bad row is converted row by row.
"""

import io
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from storage.dataset.histories import EventBlock
from storage.dataset.item_index import ItemIndex
from storage.errors import RatingsSchemaError, RatingsValueError, SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.csv_records import CsvRecord, csv_records, read_header
from storage.sources.generic.declaration import GenericParams
from storage.sources.generic.ids import hashed_seconds, stable_ids
from storage.sources.generic.values import CellRow, ParsedRatings, convert_columns, convert_rows
from storage.sources.packed_files import BYTE_ORDER_MARK, MAX_LINE_BYTES, open_plain, refuse_blank_lines
from storage.sources.parquet_files import ParquetTable
from storage.sources.torn_line import torn_timestamp

BLOCK_BYTES = 4 << 20
BLOCK_ROWS = 1 << 17
JUDGED_ROWS = 10_000


def generic_events(
    params: GenericParams, known_items: NDArray[np.int64], bad: BadRows, facts: dict[str, Any]
) -> Iterator[EventBlock]:
    """The events of known items in file order.

    Args:
        params: of the source.
        known_items: (I,) ascending, the movie ids of the items.
        bad: takes the rows that cannot be used.
        facts: receives rows and dropped_unknown_movie; complete after the last block.

    Raises:
        SourceError, RatingsSchemaError: this is no table of ratings, or most rows are bad.
        RatingsValueError: a bad row, if `bad` rejects.
    """
    facts |= {"rows": 0, "dropped_unknown_movie": 0}
    events = 0
    index = ItemIndex(known_items)
    for block in parsed_ratings(params, bad):
        user, item_id = stable_ids(block.user), stable_ids(block.item)
        item = index.of(item_id)
        known = item >= 0
        facts["rows"] += block.rows
        facts["dropped_unknown_movie"] += int((~known).sum())
        events += int(known.sum())
        if known.any():
            time = hashed_seconds(user, item_id) if params.row_order == "none" else block.timestamp
            yield EventBlock(user[known], item[known], block.code[known], time[known])
    if not events:
        raise SourceError(
            f"{params.ratings}: expected ratings of items in the items file; found none. Check that both have the same ids."
        )


def parsed_ratings(params: GenericParams, bad: BadRows) -> Iterator[ParsedRatings]:
    """The checked rows in file order, with ids as the file writes them.

    Raises:
        SourceError, RatingsSchemaError: this is no table of ratings, or most rows are bad.
        RatingsValueError: a bad row, if `bad` rejects.
    """
    read = _parquet_blocks if params.ratings.suffix.lower() == ".parquet" else _csv_blocks
    rows = good = 0
    for block in read(params, bad):
        rows, good = rows + block.rows, good + len(block.code)
        if rows >= JUDGED_ROWS:
            _refuse_mostly_bad(params, rows, good, bad)
        yield block
    if not rows:
        raise SourceError(f"{params.ratings}: expected ratings; found none. Give the whole file.")
    _refuse_mostly_bad(params, rows, good, bad)


def _refuse_mostly_bad(params: GenericParams, rows: int, good: int, bad: BadRows) -> None:
    if 2 * good < rows:
        last = bad.rows[-1]
        raise SourceError(
            f"{params.ratings}: expected ratings; found {rows - good} bad rows in {rows}, as line {last.line}: {last.reason}. "
            "Check that this is the right file, and that its columns, scale and CSV format are as declared."
        )


def _csv_blocks(params: GenericParams, bad: BadRows) -> Iterator[ParsedRatings]:
    name, stream = open_plain(params.ratings, SourceError)
    with stream:
        start = stream.read(BLOCK_BYTES).removeprefix(BYTE_ORDER_MARK)
        taken: list[bytes] = []
        columns, _ = read_header(
            params.ratings, csv_records(_noted(io.BytesIO(start), taken), params.csv), params.csv, RatingsSchemaError
        )
        places = _places(params, columns)
        line, row = 1, 0
        earliest: int | None = None  # timestamp
        if params.csv.header:
            line, start = 1 + len(taken), start[sum(map(len, taken)) :]
        for block in _whole_records(stream, start, params):
            parsed = _parse_block(block, params, len(columns), places, row)
            if parsed is None:
                records = csv_records(io.BytesIO(block), params.csv, line)
                parsed = convert_rows(_csv_rows(records, len(columns), places), params, name, row, bad)
            if len(times := parsed.timestamp):
                if not block.endswith(b"\n") and params.timestamp == columns[-1]:
                    parsed = _without_torn_line(parsed, earliest, block, name, line, params, bad)
                earliest = int(times.min()) if earliest is None else min(earliest, int(times.min()))
            row += parsed.rows
            line += block.count(b"\n")
            yield parsed


def _noted(lines: Iterable[bytes], taken: list[bytes]) -> Iterator[bytes]:
    for line in lines:
        taken.append(line)
        yield line


def _parquet_blocks(params: GenericParams, bad: BadRows) -> Iterator[ParsedRatings]:
    row = 0
    table = ParquetTable(params.ratings, SourceError)
    _places(params, tuple(table.schema.names))
    for batch in table.batches(BLOCK_ROWS, params.columns):
        cells = [batch.column(name) for name in params.columns]
        parsed = convert_columns(cells, params, row)
        if parsed is None:
            values = zip(*(column.to_pylist() for column in cells), strict=True)
            rows = (CellRow(row + place + 1, list(value), repr(value), None) for place, value in enumerate(values))
            parsed = convert_rows(rows, params, params.ratings.name, row, bad)
        row += parsed.rows
        yield parsed


def _places(params: GenericParams, columns: tuple[str, ...]) -> list[int]:
    if any(columns.count(name) != 1 for name in params.columns):
        raise RatingsSchemaError(
            f"{params.ratings}: expected columns {', '.join(params.columns)}, each once; found {', '.join(columns)[:200]}. "
            "Set user, item, rating, timestamp and csv in GenericParams as the file has them."
        )
    return [columns.index(name) for name in params.columns]


def _whole_records(stream: BinaryIO, rest: bytes, params: GenericParams) -> Iterator[bytes]:
    """The file in blocks of about 4 MiB that end with a record, which ends with a line after an even number of quotes.

    A last line without a line end and without quotes is a block of its own.
    """
    quote = (params.csv.quote or "").encode()
    blank = 0
    while chunk := stream.read(BLOCK_BYTES):
        rest += chunk
        blank += chunk.count(b"\n\n") + chunk.count(b"\n\r\n\r")  # a run of blank lines counts half
        refuse_blank_lines(params.ratings, blank, SourceError)
        cut = _end_of_records(rest, quote)
        if cut:
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) > BLOCK_BYTES + MAX_LINE_BYTES:
            raise SourceError(
                f"{params.ratings}: expected lines of at most {MAX_LINE_BYTES >> 20} MiB; found a longer one. "
                "Check that this is the right file."
            )
    cut = rest.rfind(b"\n") + 1
    if quote and quote in rest[cut:]:
        cut = 0  # the last record may have begun in a line before
    yield from filter(None, (rest[:cut], rest[cut:]))


def _without_torn_line(
    parsed: ParsedRatings, earliest: int | None, block: bytes, name: str, line: int, params: GenericParams, bad: BadRows
) -> ParsedRatings:
    """A block that is one line without a line end; without its row, which goes to `bad`, if its timestamp was cut."""
    reason = torn_timestamp(int(parsed.timestamp[0]), earliest) if len(parsed.timestamp) == 1 else None
    if reason is None:
        return parsed
    text = block.decode(params.csv.encoding, "replace")
    bad.add(name, line, f"{params.timestamp}: {reason}", text, RatingsValueError)
    return ParsedRatings(parsed.user[:0], parsed.item[:0], parsed.code[:0], parsed.timestamp[:0], parsed.rows)


def _end_of_records(data: bytes, quote: bytes) -> int:
    end = data.rfind(b"\n") + 1
    if not quote:
        return end
    cut, quotes = end, data.count(quote, 0, end)
    while cut and quotes % 2:
        before = data.rfind(b"\n", 0, cut - 1) + 1
        quotes -= data.count(quote, before, cut)
        cut = before
    return cut or end  # a quote that is never closed is found row by row


def _parse_block(block: bytes, params: GenericParams, width: int, places: list[int], row: int) -> ParsedRatings | None:
    """All rows of a block at once; None if one of them may be bad."""
    form = params.csv
    if form.encoding.lower() not in ("utf-8", "utf8", "ascii"):
        try:
            block = block.decode(form.encoding).encode()
        except ValueError:
            return None
    if block.count(b"\r") != block.count(b"\r\n") or (form.escape and form.escape.encode() in block):
        return None
    if form.quote and not _plainly_quoted(block, form.delimiter, form.quote):
        return None
    try:
        table = pacsv.read_csv(
            pa.BufferReader(block),
            pacsv.ReadOptions(column_names=[str(place) for place in range(width)], block_size=len(block) + 1),
            pacsv.ParseOptions(
                delimiter=form.delimiter, quote_char=form.quote or False, newlines_in_values=form.quote is not None
            ),
            pacsv.ConvertOptions(
                column_types={str(place): pa.string() for place in places},
                include_columns=[str(place) for place in places],
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowException:
        return None
    return convert_columns([column.combine_chunks() for column in table.columns], params, row)


def _plainly_quoted(block: bytes, delimiter: str, quote: str) -> bool:
    """Whether each quote encloses a whole cell and none is next to another one: then all CSV readers agree on the cells."""
    if quote.encode() not in block:
        return True
    data = np.frombuffer(b"\n" + block + b"\n", dtype=np.uint8)
    places = np.flatnonzero(data == ord(quote))
    if len(places) % 2:
        return False
    edge = np.zeros(256, dtype=bool)
    edge[[ord(delimiter), ord("\r"), ord("\n")]] = True
    inside = ~edge
    inside[ord(quote)] = False
    opening, closing = places[::2], places[1::2]
    return bool(
        (edge[data[opening - 1]] & inside[data[opening + 1]]).all()
        and (inside[data[closing - 1]] & edge[data[closing + 1]]).all()
    )


def _csv_rows(records: Iterator[CsvRecord], width: int, places: list[int]) -> Iterator[CellRow]:
    for record in records:
        problem = record.problem
        if problem is None and len(record.fields) != width:
            problem = f"expected {width} fields; found {len(record.fields)}"
        yield CellRow(record.line, [] if problem else [record.fields[place] for place in places], record.text, problem)
