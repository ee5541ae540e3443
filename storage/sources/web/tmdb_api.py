"""TMDB's API v3: one movie's details, found by its TMDB id or else by its IMDb id."""

import re
from typing import Any

from pydantic import SecretStr

from storage.errors import MetadataCredentialsError
from storage.sources.metadata.json_fields import Movie, entries, mapping, tmdb_id
from storage.sources.metadata.tmdb_details import parse_details
from storage.sources.web.crawl import Ask, MovieIds
from storage.sources.web.fetch import Credential, Query, Verdict

APPENDED = "credits,keywords,release_dates"
ABSENT_CODES = (6, 34)  # "The id is invalid or not found", "The resource you requested could not be found"
TOKEN_VARIABLE = "TMDB_API_TOKEN"  # noqa: S105


def tmdb_credential(token: SecretStr) -> Credential:
    """The read access token as a bearer token; a v3 key (32 hex digits), which TMDB takes only there, in the query.

    Raises:
        MetadataCredentialsError: it cannot be either.
    """
    is_v3_key = re.fullmatch(r"\s*[0-9a-f]{32}\s*", token.get_secret_value(), re.IGNORECASE)
    return Credential.checked(token, "api_key" if is_v3_key else None, TOKEN_VARIABLE)


class TmdbApi:
    """What to ask TMDB for a movie, and what its answers are worth."""

    name = "tmdb-api"

    def __init__(self, base_url: str = "https://api.themoviedb.org/3", language: str = "en-US") -> None:
        self.base_url = base_url
        self.language = language

    async def movie(self, ids: MovieIds, ask: Ask) -> Movie | None:
        """A movie's row of SOURCE_SCHEMA, or None where TMDB knows it by neither id."""
        body = await ask(self.details(ids.tmdb_id)) if ids.tmdb_id else None
        if body is None and ids.imdb_id:
            found = await ask(Query(f"find/{ids.imdb_id}", (("external_source", "imdb_id"),)))
            other = tmdb_id(entries(mapping(found).get("movie_results"))[0].get("id")) if found else None
            body = await ask(self.details(other)) if other and other != ids.tmdb_id else None
        if body is None:
            return None
        row = parse_details(body)
        return row | {"imdb_id": row["imdb_id"] or ids.imdb_id}

    def details(self, movie: int) -> Query:
        """The question for all that TMDB knows of a movie."""
        return Query(f"movie/{movie}", (("append_to_response", APPENDED), ("language", self.language)))

    def is_absent(self, status: int, body: dict[str, Any] | None) -> bool:
        """Whether TMDB says that there is no such movie.

        Raises:
            MetadataCredentialsError: TMDB rejects the token.
        """
        code = (body or {}).get("status_code")
        if status in (401, 403):
            detail = f", TMDB code {code}" if isinstance(code, int) else ""
            raise MetadataCredentialsError(
                f"{self.name}: expected the token in {TOKEN_VARIABLE} to be accepted; found HTTP {status}{detail}. "
                "Copy the API Read Access Token from https://www.themoviedb.org/settings/api."
            )
        return code in ABSENT_CODES

    def check(self, query: Query, body: dict[str, Any]) -> Verdict:
        """Whether TMDB answered what was asked."""
        if not query.path.startswith("find/"):
            same = str(body.get("id")) == query.path.partition("/")[2]
            return (
                Verdict("answer") if same else Verdict("broken", "expected the movie asked for; found another or none")
            )
        results = body.get("movie_results")
        if results == []:
            return Verdict("absent")
        good = isinstance(results, list) and isinstance(results[0], dict) and tmdb_id(results[0].get("id"))
        return Verdict("answer") if good else Verdict("broken", "expected movie_results; found none")
