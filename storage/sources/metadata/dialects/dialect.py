"""A known layout of metadata exports, and the columns that TMDB's exports share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from storage.sources.metadata import fields
from storage.sources.metadata.fields import LEAST, Movie, number, text

Row = dict[str, str]


@dataclass(frozen=True)
class Dialect:
    """One known layout.

    Args:
        name: the usual name of the file, for error messages.
        columns: the columns that the header must have; empty: JSON lines, which have no header.
        parse: a row, or a JSON object, as a movie; raises ValueError (expected …; found …) for a broken one.
        licence: the terms of the data in one sentence.
    """

    name: str
    columns: frozenset[str]
    parse: Callable[[dict[str, Any]], Movie]
    licence: str

    def fits(self, header: Sequence[str]) -> bool:
        """Whether a file with these columns (none: JSON lines) has this layout."""
        return self.columns <= set(header) and bool(self.columns) == bool(header)


def needed_id(cell: str) -> int:
    """A TMDB id.

    Raises:
        ValueError: there is none.
    """
    identity = fields.tmdb_id(cell)
    if identity is None:
        raise ValueError("expected a TMDB id; found none")
    return identity


def common_fields(row: Row) -> Movie:
    """The fields that all exports of TMDB's movies write in the same way."""
    return {
        "tmdb_id": needed_id(row["id"]),
        "imdb_id": fields.imdb_id(row.get("imdb_id")),
        "tagline": text(row.get("tagline")),
        "overview": text(row.get("overview")),
        "original_title": text(row.get("original_title")),
        "original_language": text(row.get("original_language")),
        "runtime_minutes": number(row.get("runtime"), LEAST["runtime_minutes"]),
        "budget_usd": number(row.get("budget"), LEAST["budget_usd"]),
        "revenue_usd": number(row.get("revenue"), LEAST["revenue_usd"]),
        "popularity": number(row.get("popularity"), LEAST["popularity"]),
        "vote_average": number(row.get("vote_average"), LEAST["vote_average"]),
        "vote_count": number(row.get("vote_count"), LEAST["vote_count"]),
    }
