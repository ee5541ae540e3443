"""Parse blocks of lines of a ratings table, at once where possible.

`pyarrow.csv` parses a block at once. If the block holds anything that pyarrow reads differently from the grammar in
`ratings_grammar`, or a value that the grammar refuses, the block is halved until few lines are left. These are parsed one by
one, which gives the reason why a line is bad.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from storage.dataset.histories import EventBlock
from storage.dataset.scale import RatingScale
from storage.errors import RatingsValueError
from storage.sources.movielens.ratings_grammar import (
    MOST_DIGITS,
    TIMESTAMP,
    Grammar,
    LineProblem,
    parse_line,
    rating_code,
)
from storage.sources.torn_line import torn_timestamp
from storage.tables import LATEST_SECOND

LINE_BY_LINE_BYTES = 1 << 12  # a part of at most this size is no longer halved
SEPARATOR = b"\x1f"  # stands for a delimiter that pyarrow does not take
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class BadLine(NamedTuple):
    """A line outside the grammar."""

    line: int  # 0-based in its block
    text: bytes  # without its end
    reason: LineProblem


class ParsedBlock(NamedTuple):
    """The content of a block of lines."""

    events: EventBlock  # of known movies, in file order
    lines: int  # number of all lines
    rows: int  # number of lines that are not empty
    unknown_movies: int  # number of events left out because their movie is unknown
    bad: list[BadLine]
    unended: bytes | None  # the line, if the block is a last line without a line end


class Columns(NamedTuple):
    """The values of good lines in file order."""

    user: NDArray[np.int64]  # (n,)
    movie: NDArray[np.int64]  # (n,)
    code: NDArray[np.uint8]  # (n,) 1 … scale.codes
    timestamp: NDArray[np.int64]  # (n,) unix seconds


def parse_block(data: bytes, grammar: Grammar) -> ParsedBlock:
    """Parse whole lines.

    Args:
        data: lines, each with its LF; or one line without.
        grammar: of the file.

    Returns: the events of known movies, the counts of lines, and the bad lines in order.
    """
    parts: list[Columns] = []
    bad: list[BadLine] = []
    lines = 0
    unended = data if data and not data.endswith(b"\n") else None
    waiting = [data if unended is None else data + b"\n"]
    while waiting:
        part = waiting.pop()
        columns = parse_at_once(part, grammar)
        if columns is None:
            cut = _middle(part) if len(part) > LINE_BY_LINE_BYTES else 0
            if cut:
                waiting += [part[cut:], part[:cut]]
                continue
            columns, bad_lines = parse_line_by_line(part, grammar)
            bad += [bad_line._replace(line=lines + bad_line.line) for bad_line in bad_lines]
        parts.append(columns)
        lines += part.count(b"\n")
    user, movie, code, timestamp = (
        parts[0] if len(parts) == 1 else (np.concatenate(column) for column in zip(*parts, strict=True))
    )
    item = grammar.items.of(movie)
    rows = len(item) + len(bad)
    known = item >= 0
    unknown = len(item) - int(np.count_nonzero(known))
    if unknown:
        user, item, code, timestamp = user[known], item[known], code[known], timestamp[known]
    return ParsedBlock(EventBlock(user, item, code, timestamp), lines, rows, unknown, bad, unended)


def without_torn_line(block: ParsedBlock, grammar: Grammar, earliest: int | None) -> ParsedBlock:
    """The block with a bad line in place of its event, if it is the last line of the file and was cut in its timestamp.

    Args:
        block: of the file.
        grammar: of the file.
        earliest: the smallest timestamp of all blocks before; None: there are none.
    """
    user, item, code, times = block.events
    if block.unended is None or not len(times) or grammar.roles[-1] != TIMESTAMP:
        return block
    reason = torn_timestamp(int(times[0]), earliest)
    if reason is None:
        return block
    bad = [BadLine(0, block.unended, LineProblem(f"{grammar.names[-1]}: {reason}", RatingsValueError))]
    return block._replace(events=EventBlock(user[:0], item[:0], code[:0], times[:0]), bad=bad)


def parse_at_once(data: bytes, grammar: Grammar) -> Columns | None:
    """Parse whole lines with pyarrow; None if the grammar might read one of them differently or refuse it."""
    if b'"' in data or b"\x00" in data or data.startswith(BYTE_ORDER_MARK):  # pyarrow skips the mark
        return None
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):  # for pyarrow, CR alone ends a line too
        return None
    delimiter = grammar.delimiter
    if len(delimiter) > 1 or not delimiter.isascii():  # pyarrow takes one ASCII character
        if SEPARATOR in data:
            return None
        data, delimiter = data.replace(delimiter, SEPARATOR), SEPARATOR
    user, movie, rating, timestamp = (str(place) for place in grammar.places)
    types = dict.fromkeys((user, movie, timestamp), pa.string()) | {rating: pa.dictionary(pa.int32(), pa.string())}
    try:
        table = pacsv.read_csv(
            pa.py_buffer(data),
            pacsv.ReadOptions(
                column_names=[str(place) for place in range(len(grammar.roles))],
                block_size=len(data) + 1,
                use_threads=False,  # blocks are parsed side by side
            ),
            pacsv.ParseOptions(delimiter=delimiter.decode(), quote_char=False, double_quote=False),
            pacsv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=[],
                check_utf8=False,  # only digits pass
            ),
        )
        text = {name: table[name].combine_chunks() for name in types}
        code = _rating_codes(text[rating], grammar.scale)
        users, movies, seconds = (_whole_numbers(text[name]) for name in (user, movie, timestamp))
    except ValueError:  # pyarrow's errors are ValueErrors too
        return None
    if len(seconds) and (seconds.min() < 0 or seconds.max() >= LATEST_SECOND):
        return None
    return Columns(users, movies, code, seconds)


def _whole_numbers(texts: pa.StringArray) -> NDArray[np.int64]:
    """The texts as numbers, (n,).

    Raises:
        ValueError: one of them might not be a whole number of at most 18 digits.
    """
    characters = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    if len(characters) and (characters.min() < ord("-") or characters.max() > ord("9")):
        raise ValueError("pyarrow also reads numbers in hexadecimal digits")
    # to_numpy would import pandas
    numbers = np.from_dlpack(texts.cast(pa.int64())).astype(np.int64, copy=False)
    if int(pc.max(pc.binary_length(texts)).as_py() or 0) > MOST_DIGITS:
        digits = np.from_dlpack(pc.binary_length(texts)) - (numbers < 0)
        if digits.max() > MOST_DIGITS:
            raise ValueError("too many digits")
    return numbers


def _rating_codes(ratings: pa.DictionaryArray, scale: RatingScale) -> NDArray[np.uint8]:
    """The codes of the ratings, (n,).

    Raises:
        ValueError: a rating is not on the scale.
    """
    codes: NDArray[np.uint8] = np.array(
        [rating_code(text.encode(), scale) for text in ratings.dictionary.to_pylist()], np.uint8
    )
    if not codes.all():
        raise ValueError("not on the scale")
    return codes[np.from_dlpack(ratings.indices).astype(np.int32, copy=False)]


def _middle(data: bytes) -> int:
    """A place near the middle where a line starts; 0 if there is only one line."""
    cut = data.find(b"\n", len(data) // 2) + 1
    return cut if cut < len(data) else data.rfind(b"\n", 0, len(data) // 2) + 1


def parse_line_by_line(data: bytes, grammar: Grammar) -> tuple[Columns, list[BadLine]]:
    """Parse whole lines one by one: the values of the good lines, and the bad lines."""
    good: list[tuple[int, int, int, int]] = []
    bad: list[BadLine] = []
    for number, line in enumerate(data.split(b"\n")[:-1]):
        text = line.removesuffix(b"\r")
        if not text:
            continue
        values = parse_line(text, grammar)
        if isinstance(values, LineProblem):
            bad.append(BadLine(number, text, values))
        else:
            good.append(values)
    user, movie, code, timestamp = zip(*good, strict=True) if good else ((),) * 4
    columns = Columns(
        np.array(user, np.int64), np.array(movie, np.int64), np.array(code, np.uint8), np.array(timestamp, np.int64)
    )
    return columns, bad
