"""tmdb-movies.csv, the set that Udacity's courses use: lists with `|`, 0 for unknown."""

import datetime as dt
import re

from storage.sources.metadata.dialects.dialect import Dialect, Row, common_fields
from storage.sources.metadata.fields import CAST_SIZE, Movie, list_of_texts
from storage.sources.metadata.tmdb_details import TMDB_LICENCE


def _tmdb_movies(row: Row) -> Movie:
    return common_fields(row) | {
        "release_date": _short_date(row.get("release_date") or "", row["release_year"]),
        "metadata_genres": list_of_texts(row.get("genres"), "|"),
        "companies": list_of_texts(row.get("production_companies"), "|"),
        "keywords": list_of_texts(row.get("keywords"), "|"),
        "cast": list_of_texts(row.get("cast"), "|")[:CAST_SIZE],
        "directors": list_of_texts(row.get("director"), "|"),
    }


def _short_date(value: str, year: str) -> dt.date | None:
    """6/9/15 with the century of the release year; None if the two disagree, since 1/1/66 alone may be 1966 or 2066."""
    match = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d\d(?:\d\d)?)", value.strip())
    if not match or not re.fullmatch(r"\d{4}", year.strip()) or int(year) % 100 != int(match[3]) % 100:
        return None
    try:
        return dt.date(int(year), int(match[1]), int(match[2]))
    except ValueError:
        return None


TMDB_MOVIES = Dialect(
    "tmdb-movies.csv", frozenset({"id", "imdb_id", "release_year", "overview"}), _tmdb_movies, TMDB_LICENCE
)
