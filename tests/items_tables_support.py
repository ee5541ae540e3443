"""Small tables of movies, ratings and tags, and the items that are made from them."""

import inspect
import json
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.artifacts.manifest import Recipe
from storage.artifacts.store import ArtifactRef, Draft
from storage.dataset.splits import train_until
from storage.tables import EVENTS_SCHEMA, MOVIES_SCHEMA, TAGS_SCHEMA
from tasks.caching import artifact_store
from tasks.dask_cluster import ClusterParams
from tasks.extend import make_grown_items
from tasks.features import FeatureParams, make_items

USERS, MOVIES, CUT = 30, 60, 1_000_000
PARAMS = FeatureParams(dim=8)
NUMBERS = count()


def events_table(rng: np.random.Generator) -> pa.Table:
    """Ratings of all but the last four movies, a third of them after the cut."""
    rows = [
        (user, 10 * int(movie), rng.integers(1, 11) / 2, int(rng.integers(0, 3 * CUT // 2)))
        for user in range(USERS)
        for movie in rng.choice(MOVIES - 4, 20, replace=False)
    ]
    user, movie, rating, timestamp = zip(*rows, strict=True)
    return pa.table(
        {"user_id": user, "movie_id": movie, "rating": np.array(rating, np.float32), "timestamp": timestamp},
        schema=EVENTS_SCHEMA,
    )


def tags_table(rng: np.random.Generator) -> pa.Table:
    words = ["dark", "Funny", "slow", "based on a book", "twist"]
    rows = [
        (
            int(rng.integers(USERS + 5)),
            10 * int(rng.integers(MOVIES)),
            words[rng.integers(5)],
            int(rng.integers(2 * CUT)),
        )
        for _ in range(400)
    ]
    return pa.Table.from_pylist([dict(zip(TAGS_SCHEMA.names, row, strict=True)) for row in rows], schema=TAGS_SCHEMA)


def movies_table(rng: np.random.Generator, movies: int = MOVIES) -> pa.Table:
    def some(*terms: str) -> list[str]:
        return [term for term in terms if rng.random() < 0.5]

    rows: list[dict[str, Any]] = [
        {name: [] if pa.types.is_list(MOVIES_SCHEMA.field(name).type) else None for name in MOVIES_SCHEMA.names}
        | {
            "movie_id": 10 * place, "external_id": str(10 * place), "title": f"Film {place}", "has_metadata": True,
            "year": int(rng.integers(1930, 2015)), "genres": some("Drama", "War", "Comedy"), "countries": some("France", "Italy"),
            "languages": some("French"), "cast": some("A", "B", "C"), "keywords": some("heist", "love"),
            "overview": " ".join(some("captain", "ship", "storm", "island", "letter")), "original_language": "fr",
            "runtime_minutes": float(rng.integers(60, 200)), "budget_usd": float(rng.integers(0, 3)) * 1e6,
            "awards": "Won 3 Oscars. Another 2 wins & 1 nomination." if rng.random() < 0.3 else None,
        }
        for place in range(movies)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=MOVIES_SCHEMA)


UNTIL = train_until(np.tile(np.array([0, 0, 0, 1, 2], np.uint8), USERS // 5), CUT)


def build_items(
    events: pa.Table,
    tags: pa.Table,
    movies: pa.Table,
    params: FeatureParams = PARAMS,
    base: ArtifactRef | None = None,
    genome: np.ndarray | None = None,
    text: np.ndarray | None = None,
    encoder: Mapping[str, Any] | None = None,
) -> ArtifactRef:
    """The items artifact of tables, made by the task's own function from real artifacts in MARQUEE_HOME.

    Args:
        events: the ratings.
        tags: the tags.
        movies: the movies.
        params: of the features.
        base: items that are extended by the movies; then ratings and tags are not used.
        genome: (M, T) relevance of tags for the first M movies.
        text: (I, E) of the movies; default: random vectors, the same for the same movie.
        encoder: what the texts' recipe says of the encoder.
    """
    if text is None:
        vectors = np.random.default_rng(1).normal(size=(2 * MOVIES, 12)).astype(np.float32)
        text = vectors[movies["movie_id"].to_numpy() // 10]
    given = {
        "movies": artifact("movies", lambda draft: pq.write_table(movies, draft.path / "movies.parquet")),
        "texts": artifact("texts", lambda draft: np.save(draft.path / "texts.npy", text), encoder),
    }
    if base is not None:
        return artifact("items", lambda draft: make_grown_items.__wrapped__(draft, base=base, **given))  # type: ignore[attr-defined]
    users = pa.table({"user_id": np.arange(USERS), "train_until": UNTIL})
    given |= {
        "events": artifact(
            "events", lambda draft: pq.write_table(events, draft.path / "events.parquet", row_group_size=100)
        ),
        "splits": artifact("splits", lambda draft: pq.write_table(users, draft.path / "users.parquet")),
        "tags": artifact("tags", lambda draft: write_tags(draft.path, tags, genome)),
    }
    return artifact(
        "items", lambda draft: inspect.unwrap(make_items)(draft, params=params, cluster=ClusterParams(), **given)
    )


def artifact(kind: str, fill: Callable[[Draft], Any], parameters: Mapping[str, Any] | None = None) -> ArtifactRef:
    """An artifact with a digest of its own."""
    recipe = Recipe(
        kind=kind, schema_version=1, parameters={"n": next(NUMBERS), **(parameters or {})}, inputs={}, code=""
    )
    with artifact_store().create(recipe) as draft:
        fill(draft)
    return draft.committed


def write_tags(folder: Path, tags: pa.Table, genome: np.ndarray | None) -> None:
    """The files of a tags artifact."""
    pq.write_table(tags, folder / "tags.parquet")
    if genome is not None:
        np.save(folder / "genome.npy", genome)
        np.save(folder / "genome_movies.npy", 10 * np.arange(len(genome)))
        (folder / "genome_tags.json").write_text(json.dumps([f"tag {n}" for n in range(genome.shape[1])]))
