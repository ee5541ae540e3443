"""The body of TMDB's movie details, with whatever was appended to it, as a row of metadata."""

from typing import Any

from storage.sources import fields
from storage.sources.fields import Movie, credited, list_of_texts, number, objects, text


def parse_details(body: dict[str, Any]) -> Movie:
    """What one details body says, in the names of SOURCE_SCHEMA; what was not appended stays unknown.

    Of certifications only those of the United States count, so that they share one scale.

    Raises:
        ValueError: no details body (such as an error body), or a field of another shape.
    """
    identity = fields.tmdb_id(body.get("id"))
    if identity is None:
        raise ValueError(f"expected an object with an id; found {text(body.get('status_message')) or sorted(body)[:5]}")
    return credited(_objects(body, "credits", "cast"), _objects(body, "credits", "crew")) | {
        "tmdb_id": identity,
        "imdb_id": fields.imdb_id(body.get("imdb_id") or _object(body, "external_ids").get("imdb_id")),
        "tagline": text(body.get("tagline")),
        "overview": text(body.get("overview")),
        "original_title": text(body.get("original_title")),
        "original_language": text(body.get("original_language")),
        "collection": text(_object(body, "belongs_to_collection").get("name")),
        "certification": _certification(_objects(body, "release_dates", "results")),
        "status": text(body.get("status")),
        "release_date": fields.date(body.get("release_date")),
        "adult": fields.flag(body.get("adult")),
        "metadata_genres": list_of_texts(body.get("genres")),
        "countries": list_of_texts(body.get("production_countries")),
        # Languages' own names ("Deutsch") would not meet those of other sources ("German").
        "languages": list_of_texts(
            [entry.get("english_name") or entry.get("name") for entry in objects(body.get("spoken_languages"))]
        ),
        "companies": list_of_texts(body.get("production_companies")),
        "keywords": list_of_texts(_objects(body, "keywords", "keywords") or _objects(body, "keywords", "results")),
        "runtime_minutes": number(body.get("runtime"), fields.LEAST["runtime_minutes"]),
        "budget_usd": number(body.get("budget"), fields.LEAST["budget_usd"]),
        "revenue_usd": number(body.get("revenue"), fields.LEAST["revenue_usd"]),
        "popularity": number(body.get("popularity"), fields.LEAST["popularity"]),
        "vote_average": number(body.get("vote_average"), fields.LEAST["vote_average"]),
        "vote_count": number(body.get("vote_count"), fields.LEAST["vote_count"]),
    }


def _certification(countries: list[dict[str, Any]]) -> str | None:
    for country in countries:
        if country.get("iso_3166_1") == "US":
            for release in objects(country.get("release_dates")):
                if word := text(release.get("certification")):
                    return word
    return None


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name) or {}
    if not isinstance(value, dict):
        raise ValueError(f"expected {name} to be an object; found {str(value)[:40]!r}")
    return value


def _objects(body: dict[str, Any], name: str, inner: str) -> list[dict[str, Any]]:
    return objects(_object(body, name).get(inner))
