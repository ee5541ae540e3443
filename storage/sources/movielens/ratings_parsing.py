r"""The grammar of a ratings table's lines, and two ways of parsing a block of them: in C, and purely to the same result.

A line ends in LF, or CR LF; the file's last may end without. Empty lines are skipped. Every other line has exactly as many
fields as the header, divided by the delimiter; quotation marks and NUL bytes stand nowhere. Of the four fields that are
read, user, movie and timestamp are `-?[0-9]{1,18}` (the timestamp in unix seconds from 1970 to 2100), the rating is
`-?[0-9]{1,9}(\.[0-9]{1,6})?` and lies on the scale. Further fields may hold anything else.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from storage.compiled import helper
from storage.dataset.histories import EventBlock
from storage.dataset.scale import RatingScale
from storage.errors import RatingsSchemaError, RatingsValueError, SourceError
from storage.tables import LATEST_SECOND

USER, MOVIE, RATING, TIMESTAMP, IGNORED = range(5)  # roles of a field, as in _ratings.c
WHOLE = rb"-?[0-9]{1,18}"
DECIMAL = rb"-?[0-9]{1,9}(?:\.[0-9]{1,6})?"
WHOLE_NUMBER, RATING_NUMBER = re.compile(WHOLE), re.compile(DECIMAL)
PLAIN_NUMBER = re.compile(r"-?[0-9.]*[0-9]")
Columns = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]
ON_GRID = 1e-6  # in steps of the scale
LARGEST_DIRECT_ID = 1 << 22
SHOWN_BYTES = 40


class BadLine(NamedTuple):
    """A line outside the grammar."""

    line: int  # 0-based in its block
    text: bytes  # without its end


class Reason(NamedTuple):
    """Why a line is bad, and which error that is."""

    text: str  # expected …; found …
    error: type[SourceError]


class ParsedBlock(NamedTuple):
    """What a block of lines held."""

    events: EventBlock  # of known movies, in file order
    lines: int  # all of them
    rows: int  # without the empty ones
    unknown_movies: int  # events left out because their movie is not known
    bad: list[BadLine]


@dataclass(frozen=True)
class Grammar:
    """How to read the lines of one file."""

    names: tuple[str, str, str, str]  # of user, movie, rating and timestamp in this file, for messages
    delimiter: bytes
    roles: bytes  # role of each field
    scale: RatingScale
    known_movies: NDArray[np.int64]  # (I,) ascending

    @cached_property
    def item_of_small_id(self) -> NDArray[np.int32]:
        """Item index by movie id, -1 for unknown ones; empty where ids are too large for a table."""
        known = self.known_movies
        if not len(known) or known[0] < 0 or known[-1] >= LARGEST_DIRECT_ID:
            return np.empty(0, np.int32)
        table = np.full(known[-1] + 1, -1, np.int32)
        table[known] = np.arange(len(known), dtype=np.int32)
        return table

    @cached_property
    def clean_lines(self) -> re.Pattern[bytes]:
        """Matches whole blocks without empty lines, in which every field has the form of its role."""
        form = {RATING: DECIMAL, IGNORED: rb"(?:(?!" + re.escape(self.delimiter) + rb')[^"\x00\n])*'}
        line = re.escape(self.delimiter).join(form.get(role, WHOLE) for role in self.roles)
        return re.compile(rb"(?:" + line + rb"\r?\n)*+")


class Workspace:
    """Arrays that a block's text and events are put into, used again for other blocks: fresh memory costs its clearing."""

    def __init__(self, text_bytes: int) -> None:
        room = text_bytes // 8 + 1  # no line is shorter than "1,1,1,1\n"
        self.text = np.empty(text_bytes, np.uint8)
        self.user, self.item = np.empty(room, np.int64), np.empty(room, np.int32)
        self.code, self.timestamp = np.empty(room, np.uint8), np.empty(room, np.int64)


def parse_block(data: NDArray[np.uint8], grammar: Grammar, space: Workspace) -> ParsedBlock:
    """Parse whole lines, (n,) bytes, the last of them LF; the events may be views of `space`.

    Lines outside the grammar are listed in order; lines of unknown movies are counted.
    """
    compiled = helper("_ratings")
    if compiled is None:
        return parse_purely(data.tobytes(), grammar)
    scale = grammar.scale
    count, lines, rows, unknown, bad = compiled.parse(
        data, grammar.delimiter, grammar.roles, (scale.lowest, scale.step, scale.codes), LATEST_SECOND,
        grammar.known_movies, grammar.item_of_small_id, space.user, space.item, space.code, space.timestamp,
    )  # fmt: skip
    events = EventBlock(space.user[:count], space.item[:count], space.code[:count], space.timestamp[:count])
    bad_lines = [BadLine(line, data[start:stop].tobytes().removesuffix(b"\r")) for line, start, stop in bad]
    return ParsedBlock(events, lines, rows, unknown, bad_lines)


def parse_purely(data: bytes, grammar: Grammar) -> ParsedBlock:
    """As `parse_block`, without the C helper: a clean block all at once, another line by line."""
    block = _parse_clean(data, grammar)
    lines, bad, rows = data.count(b"\n"), [], 0
    if block is not None:
        rows = lines
    else:
        good = []
        for number, line in enumerate(data.split(b"\n")[:-1]):
            text = line.removesuffix(b"\r")
            if not text:
                continue
            rows += 1
            values = _parse_line(text, grammar)
            if isinstance(values, Reason):
                bad.append(BadLine(number, text))
            else:
                good.append(values)
        user, movie, code, timestamp = zip(*good, strict=True) if good else ((),) * 4
        block = (
            np.array(user, np.int64),
            np.array(movie, np.int64),
            np.array(code, np.uint8),
            np.array(timestamp, np.int64),
        )
    user_id, movie_id, codes, timestamps = block
    place = np.searchsorted(grammar.known_movies, movie_id)
    known = place < len(grammar.known_movies)
    known[known] = grammar.known_movies[place[known]] == movie_id[known]
    events = EventBlock(user_id[known], place[known].astype(np.int32), codes[known], timestamps[known])
    return ParsedBlock(events, lines, rows, int((~known).sum()), bad)


def reason_of(line: bytes, grammar: Grammar) -> Reason:
    """Why a bad line is bad."""
    reason = _parse_line(line, grammar)
    if not isinstance(reason, Reason):  # the two ways of parsing disagree: a fault of ours, not the file's
        raise AssertionError(f"line taken for bad and good: {line[:SHOWN_BYTES]!r}")
    return reason


def code_of(rating: float, scale: RatingScale) -> int:
    """1 … codes, or 0 where the rating is not on the scale."""
    place = (rating - scale.lowest) / scale.step
    nearest = round(place)
    return nearest + 1 if abs(place - nearest) <= ON_GRID and 0 <= nearest < scale.codes else 0


def _parse_clean(data: bytes, grammar: Grammar) -> Columns | None:
    """User, movie, code and timestamp of a block in which all is well; None for any other."""
    if len(grammar.delimiter) > 1 and IGNORED in grammar.roles:
        return None  # a field that ends in half a delimiter would run into the next line below
    if not data or not grammar.clean_lines.fullmatch(data):
        return None
    fields = data.replace(b"\r\n", b"\n").replace(b"\n", grammar.delimiter).split(grammar.delimiter)
    fields.pop()  # behind the last line
    width = len(grammar.roles)

    def column(role: int) -> list[bytes]:
        return fields[grammar.roles.index(role) :: width]

    timestamp = np.array(column(TIMESTAMP)).astype(np.int64)
    scale = grammar.scale
    place = (np.array(column(RATING)).astype(np.float64) - scale.lowest) / scale.step
    nearest = np.rint(place)
    good = (np.abs(place - nearest) <= ON_GRID) & (nearest >= 0) & (nearest < scale.codes)
    if not (good & (timestamp >= 0) & (timestamp < LATEST_SECOND)).all():
        return None
    user, movie = (np.array(column(role)).astype(np.int64) for role in (USER, MOVIE))
    return user, movie, (nearest + 1).astype(np.uint8), timestamp


def _parse_line(line: bytes, grammar: Grammar) -> tuple[int, int, int, int] | Reason:
    """User, movie, code and timestamp of a line without its end; or the reason why it is bad."""
    if b"\x00" in line:
        return Reason("expected text; found a NUL byte", RatingsSchemaError)
    if b'"' in line:
        return Reason("expected numbers without quotation marks; found one", RatingsSchemaError)
    fields = line.split(grammar.delimiter)
    if len(fields) != len(grammar.roles):
        return Reason(f"expected {len(grammar.roles)} fields; found {len(fields)}", RatingsSchemaError)
    needed = [fields[grammar.roles.index(role)] for role in (USER, MOVIE, RATING, TIMESTAMP)]
    for name, field in zip(grammar.names, needed, strict=True):
        if not field.isascii():
            found = f"bytes of another encoding: {field[:SHOWN_BYTES]!r}"
            return Reason(f"expected {name} in ASCII digits; found {found}", RatingsSchemaError)
    user, movie, rating, timestamp = needed
    code = code_of(float(rating), grammar.scale) if RATING_NUMBER.fullmatch(rating) else 0
    faults = (
        (not WHOLE_NUMBER.fullmatch(user), "a whole number of at most 18 digits"),
        (not WHOLE_NUMBER.fullmatch(movie), "a whole number of at most 18 digits"),
        (not code, str(grammar.scale)),
        (
            not WHOLE_NUMBER.fullmatch(timestamp) or not 0 <= int(timestamp) < LATEST_SECOND,
            "unix seconds from 1970 to 2100",
        ),
    )
    for name, field, (is_bad, expected) in zip(grammar.names, needed, faults, strict=True):
        if is_bad:
            return Reason(f"expected {name} to be {expected}; found {_shown(field)}", RatingsValueError)
    return int(user), int(movie), code, int(timestamp)


def _shown(field: bytes) -> str:
    """A field as a message shows it: plain numbers as they stand, anything else quoted."""
    shown = field[:SHOWN_BYTES].decode("ascii", "replace")
    return (shown if PLAIN_NUMBER.fullmatch(shown) else repr(shown)) if field else "nothing"
