"""Generates a small release in the formats of MovieLens and TMDB from known preferences, which are stored beside it."""

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

START, END = 852_076_800, 1_420_070_400  # 1997-01-01 … 2015-01-01

# Each latent factor has a genre and words at either pole, so that a text encoder can find it.
FACTORS = (
    ("War", "battle soldiers front regiment siege general trenches", "Romance", "love wedding kiss letters summer heart bride"),
    ("Sci-Fi", "spaceship galaxy robot planet future laser colony", "Western", "cowboy sheriff ranch saloon outlaw desert horse"),
    ("Horror", "haunted ghost blood curse nightmare demon grave", "Comedy", "hilarious prank roommate party joke vacation"),
    ("Crime", "heist detective gangster murder police bribe alibi", "Children", "puppy toys school magic friendship fairy birthday"),
    ("Documentary", "archive interviews history witness footage science nature", "Fantasy", "dragon quest sword prophecy elf"),
    ("Musical", "singer stage orchestra dance broadway chorus melody", "Thriller", "conspiracy hostage spy chase bomb betrayal witness"),
    ("Animation", "cartoon animals talking forest adventure penguin castle", "Drama", "family illness divorce grief village silence"),
    ("Action", "explosion fight rescue car mercenary martial revenge", "Film-Noir", "shadow rain smoke dame cynical nightclub secret"),
)  # fmt: skip
FIRST = [
    "Silent", "Golden", "Last", "Broken", "Hidden", "Crimson", "Distant", "Little",
    "Wild", "Midnight", "Lost", "Burning", "Frozen", "Secret", "Second", "Iron",
]  # fmt: skip
NOUN = [
    "River", "House", "Garden", "Empire", "Letter", "Mirror", "Summer", "Bridge",
    "Harbour", "Stranger", "Promise", "Winter", "Road", "Island", "Song", "Tower",
]  # fmt: skip
NAMES = [
    "Ada", "Bruno", "Clara", "Dario", "Edith", "Felix", "Greta", "Hugo", "Irma", "Jonas",
    "Kira", "Leon", "Mona", "Nils", "Olga", "Pavel", "Rosa", "Sven", "Tilda", "Viktor",
]  # fmt: skip
SURNAMES = [
    "Ahlberg", "Barone", "Castell", "Duval", "Eriksen", "Falk", "Gallo", "Hahn",
    "Iversen", "Jansen", "Kowal", "Lindt", "Moreau", "Novak", "Ortiz", "Petri",
]  # fmt: skip


class SampleParams(BaseModel):
    """The generator's size and seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(7, ge=0, description="Seed of everything that is drawn.")
    users: int = Field(600, ge=30, le=100_000, description="Number of users.")
    movies: int = Field(900, ge=60, le=20_000, description="Number of movies.")
    events_per_user_mean: float = Field(70.0, ge=15, le=500, description="Mean number of ratings of a user.")


class Truth(NamedTuple):
    """What the ratings were drawn from; K latent factors."""

    users: NDArray[np.float32]  # (U, K) tastes
    movies: NDArray[np.float32]  # (M, K) contents
    quality: NDArray[np.float32]  # (M,) what everybody likes more
    user_ids: NDArray[np.int64]  # (U,)
    movie_ids: NDArray[np.int64]  # (M,)


def true_affinity(truth: Truth) -> NDArray[np.float32]:
    """How much every user likes every movie, (U, M) float32: preference times content, plus quality."""
    return np.asarray(1.6 * truth.users @ truth.movies.T + 0.4 * truth.quality, dtype=np.float32)


def write_sample(folder: Path, params: SampleParams) -> dict[str, Any]:
    """Write ratings.csv, movies.csv, links.csv, tags.csv, metadata/tmdb_movies.csv and truth/*.npy.

    A user's next movie is drawn by affinity, by similarity to the last three movies and by popularity; the rating by affinity.
    Equal parameters give equal bytes.

    Returns: counts.
    """
    rng = np.random.default_rng(params.seed)
    truth, popularity = _draw_truth(rng, params)
    ratings = _draw_ratings(rng, params, truth, popularity)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "ratings.csv", ["userId", "movieId", "rating", "timestamp"], ratings)
    facts = {"users": params.users, "movies": params.movies, "ratings": len(ratings)}
    facts |= _write_movies(rng, folder, params, truth)
    (folder / "truth").mkdir()
    for name, values in truth._asdict().items():
        np.save(folder / "truth" / f"{name}.npy", values, allow_pickle=False)
    return facts


def load_truth(folder: Path) -> Truth:
    """The preferences that the sample in `folder` was generated from."""
    return Truth(*(np.load(folder / "truth" / f"{name}.npy", allow_pickle=False) for name in Truth._fields))


def _draw_truth(rng: np.random.Generator, params: SampleParams) -> tuple[Truth, NDArray[np.float64]]:
    factors = len(FACTORS)

    def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    themes = rng.normal(size=(24, factors)) ** 3
    movies = unit(unit(themes[rng.integers(24, size=params.movies)]) + rng.normal(0, 0.15, (params.movies, factors)))
    groups = rng.normal(size=(12, factors)) ** 3
    users = unit(unit(groups[rng.integers(12, size=params.users)]) + rng.normal(0, 0.15, (params.users, factors)))
    truth = Truth(
        users=users,
        movies=movies,
        quality=rng.normal(size=params.movies).astype(np.float32),
        user_ids=np.arange(1, params.users + 1),
        movie_ids=np.cumsum(rng.integers(1, 4, params.movies)),
    )
    popularity = -0.6 * np.log(rng.permutation(params.movies) + 3.0)
    popularity[rng.permutation(params.movies)[: max(1, params.movies // 100)]] = -np.inf  # never rated
    return truth, popularity


def _draw_ratings(
    rng: np.random.Generator, params: SampleParams, truth: Truth, popularity: NDArray[np.float64]
) -> list[tuple[int, int, float, int]]:
    affinity = true_affinity(truth)
    like = 1.5 * truth.movies @ truth.movies.T
    rated = int(np.isfinite(popularity).sum())
    ratings: list[tuple[int, int, float, int]] = []
    for user in range(params.users):
        spread = rng.lognormal(-0.32, 0.8)
        count = int(np.clip(round(params.events_per_user_mean * spread), 12, min(400, rated * 2 // 3)))
        if rng.random() < 0.012:
            count = int(rng.integers(3, 10))  # too short for a frame of ten
        open_weight = popularity + 1.2 * affinity[user] + rng.gumbel(size=params.movies) * 0.6
        recent: list[int] = []
        for _ in range(count):
            pull = like[recent[-3:]].sum(axis=0) if recent else 0.0
            chosen = int(np.argmax(open_weight + pull + 0.5 * rng.gumbel(size=params.movies)))
            open_weight[chosen] = -np.inf
            recent.append(chosen)
        stars = 3.4 + 0.75 * affinity[user, recent] + rng.normal(0, 0.35) + rng.normal(0, 0.5, count)
        stars = np.clip(np.round(stars * 2) / 2, 0.5, 5.0)
        second = int(rng.integers(START, END - 400 * 86400))
        gaps = np.where(rng.random(count) < 0.06, rng.integers(3600, 30 * 86400, count), rng.integers(0, 90, count))
        seconds = second + np.cumsum(np.where(rng.random(count) < 0.15, 0, gaps))
        rows = zip(truth.movie_ids[recent].tolist(), stars.tolist(), seconds.tolist(), strict=True)
        ratings += [(int(truth.user_ids[user]), movie, star, int(when)) for movie, star, when in rows]
    return ratings


def _write_movies(rng: np.random.Generator, folder: Path, params: SampleParams, truth: Truth) -> dict[str, Any]:
    movies, links, tags, metadata = [], [], [], []
    for place, movie_id in enumerate(truth.movie_ids.tolist()):
        content = truth.movies[place]
        order = np.argsort(-np.abs(content))
        poles = [FACTORS[k][:2] if content[k] > 0 else FACTORS[k][2:] for k in order[:3]]
        strong = [pole for pole, k in zip(poles, order, strict=False) if abs(content[k]) > 0.3] or poles[:1]
        genres = [genre for genre, _ in strong]
        words = [
            word for (_, text), size in zip(poles, (9, 6, 3), strict=True) for word in rng.choice(text.split(), size)
        ]
        year = int(rng.integers(1950, 2015))
        title = f"{FIRST[rng.integers(16)]} {NOUN[rng.integers(16)]}"
        shown = f"{title}, The" if rng.random() < 0.3 else f"{title} of {NOUN[rng.integers(16)]}"
        movies.append(
            (movie_id, f"{shown} ({year})", "|".join(genres) if rng.random() > 0.01 else "(no genres listed)")
        )
        tmdb_id, imdb = 10_000 + place, 100_000 + 7 * place
        links.append((movie_id, f"{imdb:07d}", tmdb_id if rng.random() > 0.01 else ""))
        if rng.random() < 0.1:
            tags.append((int(rng.integers(1, params.users + 1)), movie_id, words[0], START + place))
        if rng.random() < 0.08:
            continue
        money = rng.lognormal(16, 1, 2)
        known = rng.random(3) > (0.4, 0.4, 0.02)
        people = [f"{NAMES[rng.integers(20)]} {SURNAMES[rng.integers(16)]}" for _ in range(6)]
        month, day = int(rng.integers(1, 13)), int(rng.integers(1, 29))
        metadata.append(
            (
                tmdb_id, f"tt{imdb:07d}", round(float(rng.lognormal(0, 0.7)), 6), int(money[0] * known[0]),
                int(money[1] * known[1]), title, "|".join(people[:5]), "", people[5],
                f"A story of {words[0]} and {words[9]}." if rng.random() < 0.7 else "", "|".join(sorted(set(words[:5]))),
                f"In this {genres[0].lower()} film, {' '.join(words[:6])} meet {' '.join(words[6:12])}; {' '.join(words[12:])}.",
                int(rng.integers(70, 180) * known[2]), "|".join(genres), f"{SURNAMES[rng.integers(16)]} Pictures",
                f"{month}/{day}/{year % 100:02d}", int(rng.lognormal(5, 1)),
                round(float(np.clip(6.2 + 0.8 * truth.quality[place], 1, 10)), 1), year, 0, 0,
            )
        )  # fmt: skip
    _write(folder / "movies.csv", ["movieId", "title", "genres"], movies)
    _write(folder / "links.csv", ["movieId", "imdbId", "tmdbId"], links)
    _write(folder / "tags.csv", ["userId", "movieId", "tag", "timestamp"], tags)
    header = (
        "id,imdb_id,popularity,budget,revenue,original_title,cast,homepage,director,tagline,keywords,overview,runtime,"
        "genres,production_companies,release_date,vote_count,vote_average,release_year,budget_adj,revenue_adj"
    )
    (folder / "metadata").mkdir(exist_ok=True)
    _write(folder / "metadata" / "tmdb_movies.csv", header.split(","), metadata)
    return {"links": len(links), "tags": len(tags), "metadata": len(metadata)}


def _write(path: Path, header: list[str], rows: list[Any]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
