"""tmdb_5000_movies.csv and tmdb_5000_credits.csv, Kaggle's 5000 set: lists are JSON arrays of objects."""

import json
from typing import Any

from storage.sources.metadata import fields
from storage.sources.metadata.dialects.dialect import Dialect, Row, common_fields, needed_id
from storage.sources.metadata.fields import Movie, list_of_texts, text
from storage.sources.metadata.tmdb_details import TMDB_LICENCE

MAX_CELL_CHARS = 1 << 20


def _movies(row: Row) -> Movie:
    return common_fields(row) | {
        "release_date": fields.date(row.get("release_date")),
        "status": text(row.get("status")),
        "metadata_genres": _json_names(row.get("genres")),
        "companies": _json_names(row["production_companies"]),
        "keywords": _json_names(row["keywords"]),
        "countries": _json_names(row["production_countries"]),
        "languages": _json_names(row["spoken_languages"]),
    }


def _credits(row: Row) -> Movie:
    people = fields.credited(fields.objects(_json(row["cast"])), fields.objects(_json(row["crew"])))
    return {"tmdb_id": needed_id(row["movie_id"])} | people


def _json(cell: str | None) -> Any:
    if not cell:
        return []
    if len(cell) > MAX_CELL_CHARS:
        raise ValueError(f"expected a JSON list; found {len(cell)} characters")
    try:
        return json.loads(cell)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected a JSON list of objects with names; found {cell[:40]!r} ({error})") from None


def _json_names(cell: str | None) -> list[str]:
    return list_of_texts(_json(cell))


TMDB_5000_MOVIES = Dialect(
    "tmdb_5000_movies.csv",
    frozenset({"id", "overview", "production_companies", "keywords", "production_countries", "spoken_languages"}),
    _movies,
    TMDB_LICENCE,
)
TMDB_5000_CREDITS = Dialect("tmdb_5000_credits.csv", frozenset({"movie_id", "cast", "crew"}), _credits, TMDB_LICENCE)
