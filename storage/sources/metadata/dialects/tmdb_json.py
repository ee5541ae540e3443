"""JSON lines of TMDB's movie details: the answers of its API, one per line."""

from typing import Any

from storage.sources.metadata.dialects.dialect import Dialect
from storage.sources.metadata.fields import Movie
from storage.sources.metadata.tmdb_details import TMDB_LICENCE, parse_details


def _details(body: dict[str, Any]) -> Movie:
    movie = parse_details(body)
    if movie["tmdb_id"] is None:
        found = body.get("status_message") or ", ".join(body) or "nothing"
        raise ValueError(f"expected movie details with an id; found {str(found)[:80]}")
    return movie


TMDB_JSON = Dialect("JSON lines of TMDB's movie details", frozenset(), _details, TMDB_LICENCE)
