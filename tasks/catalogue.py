"""Titles with years, and main genres, of the items of a dataset."""

import re
from collections.abc import Mapping

import pyarrow as pa

from storage.artifacts.store import ArtifactRef
from tasks.feature_report import main_genres
from tasks.ingest import read_table

YEAR = re.compile(r"\(\d{4}(?:[–-]\s*\d*\s*)?\)\s*$")


def titles_of(dataset: ArtifactRef, about: Mapping[str, ArtifactRef]) -> list[str]:
    """The title of every item of a dataset, with its year if it is known and not yet in the title."""
    items = read_table(dataset, "items.parquet", ["movie_id", "title"])
    years = by_movie(about, "year")
    return [
        titled(title or f"item {movie}", years.get(movie))
        for movie, title in zip(items["movie_id"].to_pylist(), items["title"].to_pylist(), strict=True)
    ]


def titled(title: str, year: object) -> str:
    """A title with its year."""
    return title if year is None or YEAR.search(title) else f"{title} ({year})"


def genres_of(dataset: ArtifactRef, about: Mapping[str, ArtifactRef]) -> list[str]:
    """The main genre of every item of a dataset; "" if unknown."""
    movies = read_table(dataset, "items.parquet", ["movie_id"])["movie_id"].to_pylist()
    known = by_movie(about, "genres")
    genres = [known.get(movie) or [] for movie in movies]
    return main_genres(pa.table({"genres": pa.array(genres, pa.list_(pa.string()))}))


def by_movie(about: Mapping[str, ArtifactRef], column: str) -> dict[int, object]:
    """A column of the movies table by movie_id; empty if there is no table."""
    if "movies" not in about:
        return {}
    table = read_table(about["movies"], "movies.parquet", ["movie_id", column])
    return dict(zip(table["movie_id"].to_pylist(), table[column].to_pylist(), strict=True))
