"""Values of JSON from web services: a field of an unexpected type or value is unknown and never raises an error."""

import math
import re
from collections.abc import Iterable
from datetime import date
from typing import Any

from storage.sources.metadata.fields import LEAST, MAX_TEXT_CHARS, UNUSABLE

MAX_NAMES = 100
LEAST_DOLLARS = LEAST["budget_usd"]
NO_TEXT = {"", "n/a", "no overview found.", "no overview", "none", "nan"}


def mapping(value: object) -> dict[str, Any]:
    """A JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def entries(value: object) -> list[dict[str, Any]]:
    """The objects of a JSON array, else none."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def text(value: object) -> str | None:
    """Text on one line, at most MAX_TEXT_CHARS characters; None if it is empty or a placeholder."""
    if not isinstance(value, str):
        return None
    clean = " ".join(UNUSABLE.sub(" ", value[:MAX_TEXT_CHARS]).split())
    return None if clean.lower() in NO_TEXT else clean


def names(values: Iterable[object], most: int = MAX_NAMES) -> list[str]:
    """The first `most` distinct texts among `values`, in order."""
    return list(dict.fromkeys(name for value in values if (name := text(value))))[:most]


def number(value: object, least: float = 0.0, most: float = 1e12) -> float | None:
    """A number above zero within [least, most]; None for others, because these services write 0 for unknown."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    found = float(value) if abs(value) <= most else math.nan  # large integers have no float
    return found if found >= max(least, 1e-12) else None


def day(value: object) -> date | None:
    """A date from YYYY-MM-DD."""
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def imdb_id(value: object) -> str | None:
    """An IMDb title id, as in tt0114709."""
    return value if isinstance(value, str) and re.fullmatch(r"tt\d{1,12}", value, re.ASCII) else None


def tmdb_id(value: object) -> int | None:
    """A TMDB movie id: a positive integer."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63 else None
