"""TMDB's movie details, with the responses appended to them, as a row of metadata."""

from typing import Any

from storage.sources.metadata.fields import CAST_SIZE, Movie
from storage.sources.metadata.json_fields import (
    LEAST_DOLLARS,
    day,
    entries,
    imdb_id,
    mapping,
    names,
    number,
    text,
    tmdb_id,
)

TMDB_LICENCE = "TMDB data: attribution, non-commercial; its terms limit caching and machine-learning use."


def parse_details(body: dict[str, Any]) -> Movie:
    """A row of SOURCE_SCHEMA; fields of unexpected types or values, also the ids, are unknown."""
    credits_ = mapping(body.get("credits"))
    crew = entries(credits_.get("crew"))
    cast = sorted(entries(credits_.get("cast")), key=_order)
    languages = entries(body.get("spoken_languages"))
    adult = body.get("adult")
    return {
        "tmdb_id": tmdb_id(body.get("id")),
        "imdb_id": imdb_id(body.get("imdb_id")) or imdb_id(mapping(body.get("external_ids")).get("imdb_id")),
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
        # Other sources use English names: "German", not "Deutsch".
        "languages": names(text(language.get("english_name")) or language.get("name") for language in languages),
        "companies": _names_of(body.get("production_companies")),
        "keywords": _names_of(mapping(body.get("keywords")).get("keywords")),
        "cast": names((person.get("name") for person in cast), CAST_SIZE),
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
    """The certification of the United States, else the first one of any country."""
    found: dict[bool, str] = {}
    for country in entries(mapping(body.get("release_dates")).get("results")):
        for release in entries(country.get("release_dates")):
            mark = text(release.get("certification"))
            if mark:
                found.setdefault(country.get("iso_3166_1") == "US", mark)
    return found.get(True) or found.get(False)
