"""movies_metadata.csv, credits.csv and keywords.csv of Kaggle's The Movies Dataset: lists are Python literals.

Some rows of movies_metadata.csv are shifted by a stray line break; they are broken rows.
"""

from storage.sources.metadata import fields
from storage.sources.metadata.dialects.dialect import Dialect, Row, common_fields, needed_id
from storage.sources.metadata.dialects.python_literals import name_of, names_of, objects_of
from storage.sources.metadata.fields import Movie, text
from storage.sources.metadata.tmdb_details import TMDB_LICENCE


def _metadata(row: Row) -> Movie:
    collection = row["belongs_to_collection"]
    return common_fields(row) | {
        "collection": name_of(collection) if collection else None,
        "release_date": fields.date(row.get("release_date")),
        "status": text(row.get("status")),
        "adult": fields.flag(row.get("adult")),
        "metadata_genres": names_of(row.get("genres")),
        "companies": names_of(row.get("production_companies")),
        "countries": names_of(row.get("production_countries")),
        "languages": names_of(row.get("spoken_languages")),
    }


def _credits(row: Row) -> Movie:
    return {"tmdb_id": needed_id(row["id"])} | fields.credited(objects_of(row["cast"]), objects_of(row["crew"]))


def _keywords(row: Row) -> Movie:
    return {"tmdb_id": needed_id(row["id"]), "keywords": names_of(row["keywords"])}


MOVIES_METADATA = Dialect(
    "movies_metadata.csv", frozenset({"id", "imdb_id", "overview", "belongs_to_collection"}), _metadata, TMDB_LICENCE
)
MOVIES_CREDITS = Dialect("credits.csv", frozenset({"id", "cast", "crew"}), _credits, TMDB_LICENCE)
MOVIES_KEYWORDS = Dialect("keywords.csv", frozenset({"id", "keywords"}), _keywords, TMDB_LICENCE)
