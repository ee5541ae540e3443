"""TMDB's API v3: one movie's details, found by its TMDB id or else by its IMDb id."""

import re
from typing import Any

from pydantic import SecretStr

from storage.errors import MetadataCredentialsError
from storage.sources.web.crawl import Ask, MovieIds
from storage.sources.web.fetch import Credential, Query, Verdict
from storage.sources.web.fields import (
    CAST_SIZE,
    LEAST_DOLLARS,
    Movie,
    day,
    entries,
    imdb_id,
    mapping,
    names,
    nothing_known,
    number,
    text,
    tmdb_id,
)

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
        return None if body is None else parse_movie(body, ids)

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


def parse_movie(body: dict[str, Any], ids: MovieIds) -> Movie:
    """A row of SOURCE_SCHEMA from TMDB's details; fields that are not what they should be are unknown."""
    credits_ = mapping(body.get("credits"))
    crew = entries(credits_.get("crew"))
    cast = sorted(entries(credits_.get("cast")), key=_order)
    languages = entries(body.get("spoken_languages"))
    adult = body.get("adult")
    return nothing_known() | {
        "tmdb_id": tmdb_id(body.get("id")) or ids.tmdb_id,
        "imdb_id": imdb_id(body.get("imdb_id")) or ids.imdb_id,
        "tagline": text(body.get("tagline")),
        "overview": text(body.get("overview")),
        "original_title": text(body.get("original_title")),
        "original_language": text(body.get("original_language")),
        "collection": text(mapping(body.get("belongs_to_collection")).get("name")),
        "certification": _certification(body),
        "status": text(body.get("status")),
        "release_date": day(body.get("release_date")),
        "adult": adult if isinstance(adult, bool) else None,
        "metadata_genres": _names_of(body.get("genres")),
        "countries": _names_of(body.get("production_countries")),
        # Languages' own names ("Deutsch") would not meet those of other sources ("German").
        "languages": names(text(language.get("english_name")) or language.get("name") for language in languages),
        "companies": _names_of(body.get("production_companies")),
        "keywords": _names_of(mapping(body.get("keywords")).get("keywords")),
        "cast": names(person.get("name") for person in cast)[:CAST_SIZE],
        "directors": names(person.get("name") for person in crew if person.get("job") == "Director"),
        "writers": names(person.get("name") for person in crew if person.get("department") == "Writing"),
        "runtime_minutes": number(body.get("runtime")),
        "budget_usd": number(body.get("budget"), least=LEAST_DOLLARS),
        "revenue_usd": number(body.get("revenue"), least=LEAST_DOLLARS),
        "popularity": number(body.get("popularity")),
        "vote_average": number(body.get("vote_average"), most=10),
        "vote_count": number(body.get("vote_count")),
    }


def _names_of(value: object) -> list[str]:
    return names(entry.get("name") for entry in entries(value))


def _order(person: dict[str, Any]) -> float:
    order = person.get("order")
    return order if isinstance(order, int) and abs(order) < 1e9 else 1e9


def _certification(body: dict[str, Any]) -> str | None:
    """The one of the United States, else the first of any country."""
    found: dict[bool, str] = {}
    for country in entries(mapping(body.get("release_dates")).get("results")):
        for release in entries(country.get("release_dates")):
            mark = text(release.get("certification"))
            if mark:
                found.setdefault(country.get("iso_3166_1") == "US", mark)
    return found.get(True) or found.get(False)
