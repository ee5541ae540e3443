"""Cells of metadata files as clean values: None for unknown, ValueError for a cell of another type."""

import datetime as dt
import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa

from storage.tables import SOURCE_SCHEMA

MAX_TEXT_CHARS = 20_000
SHORT_CHARS = 60
MAX_LIST_ITEMS = 1000
CAST_SIZE = 5
NOTHING = {"", "no overview found.", "no overview", "none", "nan", "null", "n/a", "\\n"}
UNUSABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")  # control characters and lone surrogates
YES, NO = {"true", "1", "yes"}, {"false", "0", "no"}
# The smallest known values: 0 means unknown; amounts below 1,000 dollars were entered in millions or are not serious.
LEAST = {"runtime_minutes": 1e-12, "budget_usd": 1000.0, "revenue_usd": 1000.0, "vote_average": 1e-12,
         "popularity": 1e-12, "vote_count": 1e-12, "imdb_rating": 1e-12, "imdb_votes": 1e-12}  # fmt: skip

Movie = dict[str, Any]  # column of SOURCE_SCHEMA → value; a missing column is unknown


def source_table(movies: Sequence[Movie], schema: pa.Schema = SOURCE_SCHEMA) -> pa.Table:
    """Movies as a table; a missing value is null, or empty in a column of lists."""
    columns = [
        [movie.get(field.name) or ([] if pa.types.is_list(field.type) else movie.get(field.name)) for movie in movies]
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def text(value: Any) -> str | None:
    """One line of text, at most 20,000 characters."""
    if value is None:
        return None
    if not isinstance(value, str):
        if isinstance(value, dict | list):
            raise ValueError("expected a text; found a list or an object")
        value = str(value)
    return _cleaned(value) if len(value) <= SHORT_CHARS else _clean(value)


def _clean(value: str) -> str | None:
    cut = value[:MAX_TEXT_CHARS]
    clean = " ".join((cut if cut.isprintable() else UNUSABLE.sub(" ", cut)).split())
    return None if clean.lower() in NOTHING else clean


_cleaned = lru_cache(maxsize=1 << 16)(_clean)  # names repeat from row to row


def number(value: Any, least: float = 0.0) -> float | None:
    """A number; None if it is missing, below `least`, or 10¹² or more."""
    if isinstance(value, str):
        value = value.strip()
        if value.lower() in NOTHING:
            return None
    if value is None:
        return None
    try:
        found = float(value)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"expected a number; found {str(value)[:40]!r}") from None
    return found if math.isfinite(found) and least <= found < 1e12 else None


def flag(value: Any) -> bool | None:
    """Yes or no."""
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in NOTHING:
        return None
    if word not in YES | NO:
        raise ValueError(f"expected true or false; found {word[:40]!r}")
    return word in YES


def date(value: Any) -> dt.date | None:
    """A date written year-month-day from 1870 to 2100; a time after it is ignored."""
    if isinstance(value, dt.datetime):
        value = value.date()
    if not isinstance(value, dt.date):
        word = text(value)
        if word is None:
            return None
        try:
            value = dt.date.fromisoformat(word[:10])
        except ValueError:
            raise ValueError(f"expected a date as 1999-12-31; found {word[:40]!r}") from None
    return value if 1870 <= value.year <= 2100 else None


def list_of_texts(values: Any, separator: str | None = None) -> list[str]:
    """A list of texts, from a list of texts, a list of objects with a `name`, or a text split at `separator`."""
    if values is None:
        return []
    if isinstance(values, str):
        values = values.split(separator) if separator else [values]
    if not isinstance(values, list | tuple):
        raise ValueError(f"expected a list; found {str(values)[:40]!r}")
    names = []
    for value in values[:MAX_LIST_ITEMS]:
        if isinstance(value, dict):
            if "name" not in value:
                raise ValueError("expected objects with a name; found one without")
            value = value["name"]  # noqa: PLW2901
        if name := text(value):
            names.append(name)
    return names


def credited(cast: list[dict[str, Any]], crew: list[dict[str, Any]]) -> Movie:
    """Cast, directors and writers from TMDB's lists of people, which have a name, a job and a department."""
    written = list_of_texts([person for person in crew if person.get("department") == "Writing"])
    return {
        "cast": list_of_texts(cast[:CAST_SIZE]),
        "directors": list_of_texts([person for person in crew if person.get("job") == "Director"]),
        "writers": list(dict.fromkeys(written)),
    }


def objects(values: Any) -> list[dict[str, Any]]:
    """A list of objects; empty if there is none."""
    if not isinstance(values or [], list) or not all(isinstance(value, dict) for value in values or []):
        raise ValueError(f"expected a list of objects; found {str(values)[:40]!r}")
    return values or []


def tmdb_id(value: Any) -> int | None:
    """A TMDB id."""
    word = text(value)
    if word is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}(\.0)?", word):
        raise ValueError(f"expected a TMDB id (a whole number); found {word[:40]!r}")
    return int(word.removesuffix(".0")) or None


def imdb_id(value: Any) -> str | None:
    """An IMDb id, as in tt0114709, also from its digits alone; None for anything else."""
    word = text(value) or ""
    if re.fullmatch(r"tt[0-9]{1,18}", word):
        return word
    return f"tt{int(word):07d}" if re.fullmatch(r"[0-9]{1,18}", word) and int(word) else None


def converter(name: str, separator: str | None) -> Callable[[Any], Any]:
    """The function that converts a cell of a file to a value of one column of SOURCE_SCHEMA.

    Args:
        name: of the column.
        separator: of lists that are written as one text.
    """
    kind = SOURCE_SCHEMA.field(name).type
    of_name: dict[str, Callable[[Any], Any]] = {
        "tmdb_id": tmdb_id,
        "imdb_id": imdb_id,
        "cast": lambda value: list_of_texts(value, separator)[:CAST_SIZE],
    }
    of_kind: list[tuple[Callable[[pa.DataType], bool], Callable[[Any], Any]]] = [
        (pa.types.is_list, lambda value: list_of_texts(value, separator)),
        (pa.types.is_boolean, flag),
        (pa.types.is_date, date),
        (pa.types.is_floating, lambda value: number(value, LEAST.get(name, 0.0))),
        (pa.types.is_string, text),
    ]
    return of_name.get(name) or next(convert for matches, convert in of_kind if matches(kind))
