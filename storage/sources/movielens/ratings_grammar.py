r"""The grammar of a line of a ratings table.

A line ends in LF or CR LF; the last line of the file may lack its end. Empty lines are skipped. Every other line has as many
fields as the header, separated by the delimiter, and holds no quotation mark and no NUL byte. Four fields are read: user, movie
and timestamp are `-?[0-9]{1,18}` (the timestamp in unix seconds from 1970 to 2100), the rating is
`-?[0-9]{1,9}(\.[0-9]{1,6})?` and lies on the scale. Further fields are ignored and may hold anything else.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from storage.dataset.item_index import ItemIndex
from storage.dataset.scale import RatingScale
from storage.errors import RatingsSchemaError, RatingsValueError, SourceError
from storage.tables import LATEST_SECOND

USER, MOVIE, RATING, TIMESTAMP, IGNORED = range(5)  # roles of a field
MOST_DIGITS = 18  # of a whole number: fits int64
WHOLE_NUMBER = re.compile(rb"-?[0-9]{1,18}")
RATING_NUMBER = re.compile(rb"-?[0-9]{1,9}(?:\.[0-9]{1,6})?")
PLAIN_NUMBER = re.compile(r"-?[0-9.]*[0-9]")
ON_GRID = 1e-6  # largest distance of a rating from the scale, in steps
SHOWN_BYTES = 40


class LineProblem(NamedTuple):
    """Why a line is bad, and the error to raise for it."""

    text: str  # expected …; found …
    error: type[SourceError]


@dataclass(frozen=True)
class Grammar:
    """How to read the lines of one file.

    Attributes:
        names: columns of user, movie, rating and timestamp in this file, for messages.
        delimiter: bytes between two fields.
        roles: role of each field; each role but IGNORED occurs once.
        scale: the ratings that are accepted.
        items: finds the item index of a movie id.
    """

    names: tuple[str, str, str, str]
    delimiter: bytes
    roles: bytes
    scale: RatingScale
    items: ItemIndex

    @cached_property
    def places(self) -> tuple[int, int, int, int]:
        """The places of user, movie, rating and timestamp among the fields."""
        user, movie, rating, timestamp = (self.roles.index(role) for role in (USER, MOVIE, RATING, TIMESTAMP))
        return user, movie, rating, timestamp


def rating_code(rating: bytes, scale: RatingScale) -> int:
    """The code of a rating, 1 … codes; 0 if it is not a number or not on the scale."""
    if not RATING_NUMBER.fullmatch(rating):
        return 0
    place = (float(rating) - scale.lowest) / scale.step
    nearest = round(place)
    return nearest + 1 if abs(place - nearest) <= ON_GRID and 0 <= nearest < scale.codes else 0


def parse_line(line: bytes, grammar: Grammar) -> tuple[int, int, int, int] | LineProblem:
    """User, movie, code and timestamp of a line without its end; or the reason why it is bad."""
    if b"\x00" in line:
        return LineProblem("expected text; found a NUL byte", RatingsSchemaError)
    if b'"' in line:
        return LineProblem("expected numbers without quotation marks; found one", RatingsSchemaError)
    fields = line.split(grammar.delimiter)
    if len(fields) != len(grammar.roles):
        return LineProblem(f"expected {len(grammar.roles)} fields; found {len(fields)}", RatingsSchemaError)
    needed = [fields[place] for place in grammar.places]
    for name, field in zip(grammar.names, needed, strict=True):
        if not field.isascii():
            found = f"bytes of another encoding: {field[:SHOWN_BYTES]!r}"
            return LineProblem(f"expected {name} in ASCII digits; found {found}", RatingsSchemaError)
    user, movie, rating, timestamp = needed
    code = rating_code(rating, grammar.scale)
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
            return LineProblem(f"expected {name} to be {expected}; found {_shown(field)}", RatingsValueError)
    return int(user), int(movie), code, int(timestamp)


def _shown(field: bytes) -> str:
    """A field as a message shows it: plain numbers as they are, anything else quoted."""
    shown = field[:SHOWN_BYTES].decode("ascii", "replace")
    return (shown if PLAIN_NUMBER.fullmatch(shown) else repr(shown)) if field else "nothing"
