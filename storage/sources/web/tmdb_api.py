"""TMDB's API v3: the details of one movie, by its TMDB id or else by its IMDb id."""

import re
from typing import Any, ClassVar

from pydantic import Field

from storage.errors import MetadataCredentialsError
from storage.sources.metadata.fields import Movie
from storage.sources.metadata.json_fields import entries, mapping, tmdb_id
from storage.sources.metadata.tmdb_details import TMDB_LICENCE, parse_details
from storage.sources.web.service import Ask, MovieIds, Query, Verdict, WebService

APPENDED = "credits,keywords,release_dates"
ABSENT_CODES = (6, 34)  # "The id is invalid or not found", "The resource you requested could not be found"


class TmdbApi(WebService):
    """TMDB's API v3; the token is in TMDB_API_TOKEN or in the Secret block tmdb-api-token."""

    name: ClassVar[str] = "tmdb"
    licence: ClassVar[str] = TMDB_LICENCE
    key_variable: ClassVar[str] = "TMDB_API_TOKEN"

    base_url: str = Field("https://api.themoviedb.org/3", description="Address of TMDB's API v3.")
    requests_per_second: float = Field(30, gt=0, le=1000, description="TMDB states a limit of about 40.")
    language: str = Field("en-US", pattern=r"^[a-z]{2}(-[A-Z]{2})?$", description="Language of texts, as in en-US.")

    def key_parameter(self, key: str) -> str | None:
        """None for the read access token; `api_key` for a v3 key (32 hex digits), which TMDB accepts only there."""
        return "api_key" if re.fullmatch(r"[0-9a-f]{32}", key, re.IGNORECASE) else None

    async def movie(self, ids: MovieIds, ask: Ask) -> Movie | None:
        """A movie's row of SOURCE_SCHEMA; None if TMDB knows it by neither id."""
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
        """The query for all that TMDB knows of a movie."""
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
                f"{self.name}: expected the token in {self.key_variable} to be accepted; found HTTP {status}{detail}. "
                "Copy the API Read Access Token from https://www.themoviedb.org/settings/api."
            )
        return code in ABSENT_CODES

    def check(self, query: Query, body: dict[str, Any]) -> Verdict:
        """Whether TMDB answered the query: for the movie that was asked for."""
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
