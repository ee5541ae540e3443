"""Write a generated release with the users, movies, history lengths, popularity and ties of ML-20M.

    python benchmarks/shape.py FOLDER [ratings, default 20,000,263]

FOLDER receives ratings.csv (grouped by user, then movie, like the original), movies.csv, links.csv, tags.csv and
metadata/tmdb_movies.csv with the header of TMDB's CSV export and overviews of about 56 tokens.
"""

import csv
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from storage.sources.sample.release import FACTORS, FIRST, NAMES, NOUN, SURNAMES
from storage.threads import in_order

RATINGS, RATINGS_PER_USER, MOVIES, LARGEST_MOVIE_ID = 20_000_263, 144.414, 27_278, 131_262
SHORTEST, LONGEST = 20, 9_254
FIRST_SECOND, LAST_SECOND = 789_652_009, 1_427_784_002  # 1995-01-09 … 2015-03-31
STARS_IN_1000 = (12, 14, 34, 44, 72, 110, 145, 278, 77, 214)  # 0.5 … 5.0, roughly, so that they sum to 1,000
CHUNK_RATINGS = 1_000_000
GENRES = [name for factor in FACTORS for name in (factor[0], factor[2])]
WORDS = [word for factor in FACTORS for text in (factor[1], factor[3]) for word in text.split()]
OVERVIEW_WORDS = 44  # about 56 tokens of a BERT vocabulary


def movie_ids() -> NDArray[np.int64]:
    """The movie ids of each generated release, (27,278,) ascending; popular movies have small ids."""
    rng = np.random.default_rng(1)
    return np.sort(rng.choice(LARGEST_MOVIE_ID, MOVIES, replace=False)) + 1


def write_ratings(path: Path, ratings: int) -> int:
    """Write this number of ratings, with a few million in memory at a time; returns the number of users."""
    lengths = _history_lengths(ratings)
    ids = movie_ids()
    stars = pa.array([f"{code / 2:.1f}" for code in np.repeat(np.arange(1, 11), STARS_IN_1000)])
    ends = np.cumsum(lengths)
    cuts = np.unique(np.r_[0, np.searchsorted(ends, np.arange(CHUNK_RATINGS, ratings, CHUNK_RATINGS)), len(lengths)])

    def chunk(place: int) -> pa.Table:
        first, stop = cuts[place], cuts[place + 1]
        return _ratings_of(
            np.arange(first, stop) + 1, lengths[first:stop], ids, stars, np.random.default_rng([2, place])
        )

    names = ["userId", "movieId", "rating", "timestamp"]
    schema = pa.schema(zip(names, (pa.int64(), pa.int64(), pa.string(), pa.int64()), strict=True))
    path.write_text(",".join(names) + "\n")
    plain = pacsv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("ab") as stream, pacsv.CSVWriter(stream, schema, write_options=plain) as writer:
        for table in in_order(chunk, range(len(cuts) - 1)):
            writer.write_table(table)
    return len(lengths)


def _history_lengths(ratings: int) -> NDArray[np.int64]:
    """Number of ratings of each user: 20, and a lognormal number more."""
    rng = np.random.default_rng(3)
    users = max(1, min(round(ratings / RATINGS_PER_USER), ratings // SHORTEST))
    beyond = rng.lognormal(4.0, 1.35, users)
    beyond *= (ratings - SHORTEST * users) / beyond.sum()
    lengths = np.minimum(SHORTEST + beyond.astype(np.int64), LONGEST)
    lengths += (ratings - lengths.sum()) // users
    lengths[: ratings - lengths.sum()] += 1
    return np.asarray(lengths)


def _ratings_of(
    users: NDArray[np.int64],
    lengths: NDArray[np.int64],
    ids: NDArray[np.int64],
    stars: pa.Array,
    rng: np.random.Generator,
) -> pa.Table:
    events = int(lengths.sum())
    length = np.repeat(lengths, lengths)
    place = np.arange(events) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    # One draw per stratum, cubed for popularity, plus the place: ascending, and each movie at most once.
    movie = ((len(ids) - length) * ((place + rng.random(events)) / length) ** 3).astype(np.int64) + place
    start = rng.integers(FIRST_SECOND, LAST_SECOND - 400 * 86_400, len(users))
    # Six seconds apart on average: every sixth event shares its second. Two of five users return on other days.
    seconds = (rng.random(events) * 6 * length).astype(np.int64)
    returns = np.repeat(np.where(rng.random(len(users)) < 0.4, rng.integers(2, 9, len(users)), 1), lengths)
    seconds += (rng.random(events) * returns).astype(np.int64) * 40 * 86_400
    columns = [
        np.repeat(users, lengths),
        ids[movie],
        stars.take(pa.array(rng.integers(0, len(stars), events, dtype=np.int32))),
    ]
    return pa.table([*columns, np.repeat(start, lengths) + seconds], names=["userId", "movieId", "rating", "timestamp"])


def write_movies(folder: Path, users: int, tags: int) -> None:
    """Write movies.csv, links.csv, tags.csv and metadata/tmdb_movies.csv."""
    rng = np.random.default_rng(4)
    movies, links, metadata = [], [], []
    for place, movie in enumerate(movie_ids().tolist()):
        genres = "|".join(sorted({GENRES[n] for n in rng.integers(0, len(GENRES), 1 + place % 3)}))
        year = int(1930 + 85 * rng.random() ** 0.5)
        title = f"{_pick(rng, FIRST)} {_pick(rng, NOUN)} of {_pick(rng, NOUN)} {place}"
        movies.append((movie, f"{title} ({year})", genres))
        tmdb, imdb = 10_000 + place, f"{100_000 + 7 * place:07d}"
        links.append((movie, imdb, tmdb if rng.random() > 0.009 else ""))
        metadata.append(_export_row(rng, tmdb, imdb, title, genres, year))
    chosen = rng.integers(0, MOVIES, tags).tolist()
    given = zip(
        np.sort(rng.integers(1, users + 1, tags)).tolist(),
        (movies[place][0] for place in chosen),
        (WORDS[n] for n in rng.integers(0, len(WORDS), tags)),
        rng.integers(FIRST_SECOND, LAST_SECOND, tags).tolist(),
        strict=True,
    )
    _write(folder / "movies.csv", "movieId,title,genres", movies)
    _write(folder / "links.csv", "movieId,imdbId,tmdbId", links)
    _write(folder / "tags.csv", "userId,movieId,tag,timestamp", given)
    (folder / "metadata").mkdir(exist_ok=True)
    header = (
        "id,imdb_id,popularity,budget,revenue,original_title,cast,homepage,director,tagline,keywords,overview,runtime,"
        "genres,production_companies,release_date,vote_count,vote_average,release_year,budget_adj,revenue_adj"
    )
    _write(folder / "metadata" / "tmdb_movies.csv", header, metadata)


def _export_row(rng: np.random.Generator, tmdb: int, imdb: str, title: str, genres: str, year: int) -> tuple[Any, ...]:
    words = [WORDS[n] for n in rng.integers(0, len(WORDS), OVERVIEW_WORDS)]
    people = [f"{_pick(rng, NAMES)} {_pick(rng, SURNAMES)}" for _ in range(6)]
    companies = "|".join(f"{_pick(rng, SURNAMES)} {_pick(rng, NOUN)} Pictures" for _ in range(1 + tmdb % 3))
    money = rng.lognormal(16, 1, 2) * (rng.random(2) > 0.4)
    return (
        tmdb, f"tt{imdb}", f"{rng.lognormal(0, 0.7):.6f}", int(money[0]), int(money[1]), title, "|".join(people[:5]), "",
        people[5], f"A story of {words[0]} and {words[1]}.", "|".join(sorted(set(words[:5]))), " ".join(words).capitalize() + ".",
        int(rng.integers(70, 180)), genres, companies, f"{1 + tmdb % 12}/{1 + tmdb % 28}/{year % 100:02d}",
        int(rng.lognormal(5, 1)), f"{np.clip(rng.normal(6.2, 0.9), 1, 10):.1f}", year, 0, 0,
    )  # fmt: skip


def _pick(rng: np.random.Generator, names: list[str]) -> str:
    return names[int(rng.random() * len(names))]


def _write(path: Path, header: str, rows: Any) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


def main() -> None:
    """Write the release and print how long it took."""
    if len(sys.argv) < 2:
        print(__doc__)
        return
    folder = Path(sys.argv[1])
    ratings = int(sys.argv[2].replace(",", "").replace("_", "")) if len(sys.argv) > 2 else RATINGS
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    users = write_ratings(folder / "ratings.csv", ratings)
    spent = time.perf_counter() - began
    write_movies(folder, users, tags=ratings // 43)
    size = (folder / "ratings.csv").stat().st_size / 1e6
    print(f"{folder}: {ratings:,} ratings of {users:,} users, {size:.0f} MB in {spent:.1f} s; {MOVIES:,} movies")


if __name__ == "__main__":
    main()
