"""A person's ratings as they write them: a CSV file, or single ratings by title."""

import csv
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from serving.asking import MOST_EVENTS, Rated
from serving.catalogue import Catalogue
from serving.errors import RatingsFileError

MOST_BYTES = 16 << 20
ID_COLUMNS = ("movieid", "movie_id", "item_id", "id")
Ask = Callable[[str, Sequence[int]], int | None]


class WrittenRating(NamedTuple):
    """One rating as it was written.

    Args:
        where: the line, for messages.
        movie: the id as text, or "".
        title: or "".
        rating: on the scale of the policy's ratings.
        timestamp: unix seconds, or None.
    """

    where: str
    movie: str
    title: str
    rating: float
    timestamp: float | None = None


class FoundRatings(NamedTuple):
    """The ratings whose items are known, the oldest first, and how the others were written."""

    rated: list[Rated]
    not_found: list[str]


def read_ratings_file(path: Path) -> list[WrittenRating]:
    """Read a CSV file with the columns movieId or title, rating, and perhaps timestamp; the oldest rating comes first.

    Without timestamps the order of the rows counts. Timestamps are unix seconds or ISO dates.

    Raises:
        RatingsFileError: the file is missing, too large or no CSV in UTF-8, a column is missing, or a value is no number.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _refused(str(path), f"at most {MOST_BYTES:,} bytes", f"{path.stat().st_size:,}")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(str(path), "a CSV file in UTF-8", error) from error
    head = text.partition("\n")[0]
    rows = csv.reader(text.splitlines(), delimiter=";" if ";" in head and "," not in head else ",")
    names = [name.strip().casefold() for name in next(rows, [])]
    movie = next((names.index(name) for name in ID_COLUMNS if name in names), None)
    title, rating, time = (names.index(name) if name in names else None for name in ("title", "rating", "timestamp"))
    if rating is None or (movie is None and title is None):
        raise _refused(str(path), "the columns movieId or title, and rating", ", ".join(names) or "none")
    written = []
    try:
        for row in rows:
            where = f"{path}:{rows.line_num}"
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(names):
                raise _refused(where, f"{len(names)} values", len(row))
            cells = [cell.strip() for cell in row]
            written.append(
                WrittenRating(
                    where,
                    "" if movie is None else cells[movie],
                    "" if title is None else cells[title],
                    number(where, cells[rating]),
                    None if time is None or not cells[time] else seconds(where, cells[time]),
                )
            )
    except csv.Error as error:
        raise _refused(str(path), "a CSV file", error) from error
    if all(one.timestamp is not None for one in written):
        written.sort(key=lambda one: one.timestamp or 0.0)
    return written


def parse_rating(text: str) -> WrittenRating:
    """Read one rating, `TITLE=RATING` or `ID=RATING`.

    Raises:
        RatingsFileError: it has another form.
    """
    what, equals, rating = text.rpartition("=")
    if not equals or not what.strip():
        raise _refused(text, "TITLE=RATING, e.g. 'Heat (1995)=4.5'", "another form")
    return WrittenRating(text, "", what.strip(), number(text, rating))


def known_history(written: Iterable[WrittenRating], catalogue: Catalogue, ask: Ask) -> FoundRatings:
    """Find the items of written ratings in a catalogue.

    Args:
        written: the oldest first.
        catalogue: of the policy.
        ask: chooses among proposals (item indices) for a title that may mean several; None: none of them.
    """
    by_id = {text: item for item, text in enumerate(catalogue.external_ids)}
    rated, not_found = [], []
    for one in written:
        item = by_id.get(one.movie) if one.movie else None
        if item is None and one.title:
            match = catalogue.by_title.match(one.title)
            item = match.item if match.item is not None else by_id.get(one.title)
            if item is None and match.proposals:
                item = ask(one.title, match.proposals)
        if item is None:
            not_found.append(one.title or one.movie)
        else:
            rated.append(Rated(movie_id=int(catalogue.ids[item]), rating=one.rating))
    return FoundRatings(rated[-MOST_EVENTS:], not_found)


def number(where: str, text: str) -> float:
    """A finite number.

    Raises:
        RatingsFileError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise _refused(where, "a rating", repr(text))
    return value


def seconds(where: str, text: str) -> float:
    """Unix seconds of a timestamp: a number, or an ISO date.

    Raises:
        RatingsFileError: it is neither.
    """
    try:
        return float(text) if text.replace(".", "", 1).isdigit() else datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise _refused(where, "unix seconds or an ISO date", repr(text)) from error


def _refused(where: str, expected: str, found: object) -> RatingsFileError:
    return RatingsFileError(f"{where}: expected {expected}; found {found}. Correct it and run again.")
