"""Writes generated ratings as a small release in the formats of MovieLens and TMDB."""

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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


class GeneratedRatings(NamedTuple):
    """N ratings, by user and in order, and what the files tell of the movies."""

    contents: NDArray[np.float32]  # (M, K) latent factors of the movies, of length 1
    quality: NDArray[np.float32]  # (M,) what everybody likes more
    user: NDArray[np.int64]  # (N,) 0 … U - 1
    item: NDArray[np.int64]  # (N,) 0 … M - 1
    stars: NDArray[np.float64]  # (N,)
    users: int  # U


class Ids(NamedTuple):
    """The ids in the files of the users (U,) and movies (M,), both ascending."""

    users: NDArray[np.int64]
    movies: NDArray[np.int64]


def write_release(folder: Path, generated: GeneratedRatings, rng: np.random.Generator) -> tuple[Ids, dict[str, Any]]:
    """Write ratings.csv, movies.csv, links.csv, tags.csv and metadata/tmdb_movies.csv.

    Args:
        folder: made if missing.
        generated: the ratings and movies.
        rng: draws ids, times, titles and metadata; equal arguments give equal bytes.

    Returns: the ids of users and movies, and counts.
    """
    movies = len(generated.contents)
    ids = Ids(np.arange(1, generated.users + 1), np.cumsum(rng.integers(1, 4, movies)))
    folder.mkdir(parents=True, exist_ok=True)
    seconds = _times(rng, np.bincount(generated.user, minlength=generated.users))
    columns = ids.users[generated.user], ids.movies[generated.item], generated.stars, seconds
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    _write(folder / "ratings.csv", ["userId", "movieId", "rating", "timestamp"], rows)
    facts = {"users": generated.users, "movies": movies, "ratings": len(rows)}
    return ids, facts | _write_movies(rng, folder, generated, ids)


def _times(rng: np.random.Generator, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Seconds since 1970 of each user's ratings in turn: most within seconds or a day, as on MovieLens' rating pages."""
    times = []
    for count in counts.tolist():
        second = int(rng.integers(START, END - 400 * 86400))
        gaps = np.where(rng.random(count) < 0.06, rng.integers(3600, 30 * 86400, count), rng.integers(0, 90, count))
        times.append(second + np.cumsum(np.where(rng.random(count) < 0.15, 0, gaps)))
    return np.concatenate(times)


def _write_movies(rng: np.random.Generator, folder: Path, generated: GeneratedRatings, ids: Ids) -> dict[str, Any]:
    movies, links, tags, metadata = [], [], [], []
    for place, movie_id in enumerate(ids.movies.tolist()):
        content = generated.contents[place]
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
            tags.append((int(rng.integers(1, generated.users + 1)), movie_id, words[0], START + place))
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
                round(float(np.clip(6.2 + 0.8 * generated.quality[place], 1, 10)), 1), year, 0, 0,
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
