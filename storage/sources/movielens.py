"""Movies and links of every MovieLens release, with every row checked or counted."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from storage.errors import RatingsSchemaError, RatingsValueError, SourceError
from storage.files import kind_of
from storage.sources.releases import Release
from storage.sources.rows import BadRows, Row, read_rows, whole_number
from storage.tables import EVENTS_SCHEMA, IDENTITY_SCHEMA, LATEST_SECOND, first_of_equal

RATING_COLUMNS = {
    "userId": pa.int64(),
    "movieId": pa.int64(),
    "rating": pa.float64(),
    "timestamp": pa.int64(),
}
TITLE = re.compile(r"^(?P<title>.*?)\s*(?:\((?P<year>1[89]\d\d|20\d\d)(?:[-–]\d*)?\))?\s*$", re.DOTALL)
ARTICLE = re.compile(r"^(?P<title>.*), (?P<article>The|A|An|Les|Le|La|L'|Il|El|Das|Der|Die|Los|Las)(?P<rest> \(.*\))?$")
MEDIUM = re.compile(r"\s*\((?:V|TV)\)\s*$")  # after the year in u.item: made for video or television
NO_GENRE = {"(no genres listed)", "unknown"}
MISSING = {"", "NaN", "nan", "NA", "null"}

Movie = tuple[Row, str, int | None, list[str]]  # title, year, genres


def read_ratings(
    folder: Path, known_movies: NDArray[np.int64], columns: Mapping[str, str] | None = None
) -> tuple[pa.Table, dict[str, Any]]:
    """Read ratings.csv into the events table, sorted by user and time; ties keep file order.

    Dropped and counted: events of movies that movies.csv does not have; repeated (user, movie, timestamp), the first
    stays. Users with short histories stay.

    Args:
        folder: of the release.
        known_movies: ids in movies.csv.
        columns: names in the file for userId, movieId, rating, timestamp where they differ.

    Returns: a table in EVENTS_SCHEMA and counts.

    Raises:
        SourceError, RatingsSchemaError: the file is not a ratings table.
        RatingsValueError: a value outside its domain, with its line.
    """
    path = folder / "ratings.csv"
    names = {name: (columns or {}).get(name, name) for name in RATING_COLUMNS}
    table = _read_csv(path, {names[name]: kind for name, kind in RATING_COLUMNS.items()}, hint=True)
    if table.num_rows == 0:
        raise SourceError(f"{path}: expected ratings; found only a header. Give a whole release.")
    user, movie, rating, timestamp = (table[names[name]].to_numpy() for name in RATING_COLUMNS)
    for name, values in (("userId", user), ("movieId", movie), ("timestamp", timestamp)):
        if table[names[name]].null_count:
            _refuse(path, np.isnan(values), values, names[name], "a whole number")
    half_stars = rating * 2
    _refuse(
        path,
        ~((rating >= 0.5) & (rating <= 5) & (half_stars == np.rint(half_stars))),
        rating,
        names["rating"],
        "0.5, 1.0 … 5.0",
    )
    _refuse(
        path, ~((timestamp >= 0) & (timestamp < LATEST_SECOND)), timestamp, names["timestamp"],
        "unix seconds from 1970 to 2100",
    )  # fmt: skip
    known = np.isin(movie, known_movies)
    user, movie, rating, timestamp = (values[known] for values in (user, movie, rating, timestamp))
    order = _by_user_and_time(user, timestamp)
    user, movie, rating, timestamp = (values[order] for values in (user, movie, rating, timestamp))
    leader = first_of_equal(user, timestamp, movie)
    first = leader == np.arange(len(user))
    contradicting = int((rating != rating[leader]).sum())
    user, movie, rating, timestamp = (values[first] for values in (user, movie, rating, timestamp))
    if not len(user):
        raise SourceError(f"{path}: expected ratings of movies in movies.csv; found none. Are both of one release?")
    events = pa.table([user, movie, rating.astype(np.float32), timestamp], schema=EVENTS_SCHEMA)
    facts = {
        "rows": table.num_rows,
        "events": events.num_rows,
        "dropped_unknown_movie": int((~known).sum()),
        "dropped_repeated": int((~first).sum()),
        "of_these_contradicting": contradicting,
        "users": len(np.unique(user)),
        "rated_movies": len(np.unique(movie)),
        "first_timestamp": int(timestamp.min()),
        "last_timestamp": int(timestamp.max()),
    }
    return events, facts


def _by_user_and_time(user: NDArray[np.int64], timestamp: NDArray[np.int64]) -> NDArray[np.int64]:
    """The stable order by user, then time: equal seconds keep file order; one sort where both fit one integer."""
    if len(user) and user.min() >= 0 and user.max() < 1 << 31:
        return np.argsort((user << 32) | timestamp, kind="stable")  # timestamps are below 2³² here
    return np.lexsort((timestamp, user))


def read_movies(release: Release, bad: BadRows) -> tuple[pa.Table, dict[str, Any]]:
    """Read the movies of a release of any kind and, where it has them, their links to TMDB and IMDb.

    Set aside: rows without a whole number as id, an id that comes again, and what `read_rows` does not take.

    Returns: a table in IDENTITY_SCHEMA sorted by movie_id, and counts.

    Raises:
        SourceError, RatingsSchemaError: a file is not what its name says, or `bad` rejects a row.
    """
    read = _items if release.kind == "ml-100k" else _movies
    path = release.needed("movies")
    found: dict[int, tuple[str, int | None, list[str]]] = {}
    lines: dict[int, int] = {}
    for row, title, year, genres in read(release, bad):
        movie = _id_once(path, "movieId", row, lines, bad)
        if movie is not None:
            found[movie] = (title or f"movie {movie}", year, genres)
    if not found:
        raise SourceError(f"{path}: expected a movie with an id per line; found none. Give a whole release.")
    tmdb, imdb, facts = _links(release.files["links"], bad)
    ids = sorted(found)
    titles, years, genres_of = zip(*(found[movie] for movie in ids), strict=True)
    tmdb_ids = [tmdb.get(movie) for movie in ids]
    movies = pa.table(
        [ids, list(map(str, ids)), tmdb_ids, [imdb.get(movie) for movie in ids], titles, years, genres_of],
        schema=IDENTITY_SCHEMA,
    )
    linked = [tmdb_id for tmdb_id in tmdb_ids if tmdb_id is not None]
    return movies, {
        "movies": len(ids),
        "without_year": sum(year is None for year in years),
        "without_genres": sum(not names for names in genres_of),
        "without_tmdb_id": len(ids) - len(linked),
        "sharing_a_tmdb_id": len(linked) - len(set(linked)),
        **facts,
    }


def parse_title(text: str) -> tuple[str, int | None]:
    """Split MovieLens' "Matrix, The (1999)" into ("The Matrix", 1999)."""
    match = TITLE.match(" ".join(text.replace("\x00", "").split()))
    if match is None:
        return text, None
    title, year = match["title"], match["year"]
    if moved := ARTICLE.match(title):
        gap = "" if moved["article"].endswith("'") else " "
        title = f"{moved['article']}{gap}{moved['title']}{moved['rest'] or ''}"
    return title, int(year) if year else None


def _movies(release: Release, bad: BadRows) -> Iterator[Movie]:
    """movies.csv and movies.dat: genres are joined by `|`; a title in movies.dat may hold the delimiter."""
    for row in read_rows(release.needed("movies"), ("movieId", "title", "genres"), bad, release.dialect(free=1)):
        genres = [genre for genre in row.fields[2].split("|") if genre and genre not in NO_GENRE]
        yield row, *parse_title(row.fields[1]), genres


def _items(release: Release, bad: BadRows) -> Iterator[Movie]:
    """u.item: title, release date, video date, IMDb search address (no id) and a flag per genre of u.genre."""
    names = {}
    for row in read_rows(release.needed("genres"), ("genre", "place"), bad, release.dialect()):
        if (place := whole_number(row.fields[1])) is not None:
            names[place] = row.fields[0]
    path = release.needed("movies")
    columns = ("movieId", "title", "release date", "video date", "address", *(names[place] for place in sorted(names)))
    for row in read_rows(path, columns, bad, release.dialect(free=1)):
        flags = row.fields[5:]
        if not set(flags) <= {"0", "1"}:
            reason = f"expected a flag, 0 or 1, per genre; found {'|'.join(flags)}"
            bad.add(path.name, row.line, reason, row.text, RatingsValueError)
            continue
        title, year = parse_title(MEDIUM.sub("", row.fields[1]))
        if year is None and (date := re.search(r"-(1[89]\d\d|20\d\d)$", row.fields[2].strip())):
            year = int(date[1])
        genres = [name for name, flag in zip(columns[5:], flags, strict=True) if flag == "1" and name not in NO_GENRE]
        yield row, title, year, genres


def _links(path: Path | None, bad: BadRows) -> tuple[dict[int, int | None], dict[int, str], dict[str, Any]]:
    """TMDB ids and IMDb ids ("tt0114709") by movie; either may be missing in a row."""
    if path is None:
        return {}, {}, {"links": "absent"}
    tmdb: dict[int, int | None] = {}
    imdb: dict[int, str] = {}
    lines: dict[int, int] = {}
    for row in read_rows(path, ("movieId", "imdbId", "tmdbId"), bad):
        texts = [row.fields[1].strip().removeprefix("tt"), row.fields[2].strip()]
        imdb_id, tmdb_id = (None if text in MISSING else whole_number(text) for text in texts)
        if (imdb_id is None and texts[0] not in MISSING) or (tmdb_id is None and texts[1] not in MISSING):
            reason = (
                f"expected imdbId and tmdbId as whole numbers or nothing; found {row.fields[1]!r}, {row.fields[2]!r}"
            )
            bad.add(path.name, row.line, reason, row.text, RatingsValueError)
            continue
        movie = _id_once(path, "movieId", row, lines, bad)
        if movie is None:
            continue
        tmdb[movie] = tmdb_id
        if imdb_id is not None:
            imdb[movie] = f"tt{imdb_id:07d}"
    return tmdb, imdb, {"links": len(lines)}


def _id_once(path: Path, name: str, row: Row, lines: dict[int, int], bad: BadRows) -> int | None:
    """The id in a row's first field, its line noted in `lines`; None (and set aside) if it is no id or came before."""
    number = whole_number(row.fields[0])
    if number is None:
        reason = f"expected {name} as a whole number; found {row.fields[0][:40]!r}"
        bad.add(path.name, row.line, reason, row.text, RatingsValueError)
    elif number in lines:
        reason = f"expected every {name} once; found {number} again, first in line {lines[number]}"
        bad.add(path.name, row.line, reason, row.text, SourceError)
    else:
        lines[number] = row.line
        return number
    return None


def _read_csv(path: Path, types: dict[str, pa.DataType], hint: bool = False) -> pa.Table:
    """Only the columns of `types`, typed; LF or CRLF, with or without a byte-order mark."""
    if not path.is_file():
        raise SourceError(f"{path}: expected a file; found none.")
    with path.open("rb") as stream:
        head = stream.read(65536)
    kind = kind_of(head)
    if kind == "empty":
        raise SourceError(f"{path}: expected a CSV table; the file is empty. Fetch it again.")
    if kind is not None:
        raise SourceError(f"{path}: expected a CSV table; found {kind}. Unpack or fetch it again.")
    header = [name.strip().strip('"') for name in head.splitlines()[0].decode("utf-8-sig", "replace").split(",")]
    missing = [name for name in types if name not in header]
    if missing:
        advice = " Set `columns=` in SourceParams to map them." if hint else " Fetch it again."
        raise RatingsSchemaError(f"{path}: expected columns {','.join(types)}; found {','.join(header)[:200]}.{advice}")
    try:
        return pacsv.read_csv(
            path,
            parse_options=pacsv.ParseOptions(newlines_in_values=False),
            convert_options=pacsv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=["", "NaN", "nan", "NA", "null"],
                strings_can_be_null=True,
            ),
        )  # fmt: skip
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
        raise RatingsSchemaError(
            f"{path}: expected {', '.join(f'{name} as {kind}' for name, kind in types.items())}; found: {error}. "
            "Mend the line or fetch the file again."
        ) from error


def _refuse(path: Path, bad: NDArray[np.bool_], values: NDArray[Any], name: str, expected: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise RatingsValueError(
            f"{path}, line {row + 2}: expected {name} to be {expected}; found {values[row]} "
            f"({int(bad.sum())} such lines). Mend or remove them, then run again."
        )
