"""Reads the movies and links of every MovieLens release; every row is used, or set aside and counted."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from storage.errors import RatingsValueError, SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.movielens.releases import Release
from storage.sources.movielens.text_tables import TextRow, read_rows, whole_number
from storage.tables import IDENTITY_SCHEMA

TITLE = re.compile(r"^(?P<title>.*?)\s*(?:\((?P<year>1[89]\d\d|20\d\d)(?:[-–]\d*)?\))?\s*$", re.DOTALL)
ARTICLE = re.compile(r"^(?P<title>.*), (?P<article>The|A|An|Les|Le|La|L'|Il|El|Das|Der|Die|Los|Las)(?P<rest> \(.*\))?$")
MEDIUM = re.compile(r"\s*\((?:V|TV)\)\s*$")  # after the year in u.item: made for video or television
NO_GENRE = {"(no genres listed)", "unknown"}
MISSING = {"", "NaN", "nan", "NA", "null"}

Movie = tuple[TextRow, str, int | None, list[str]]  # title, year, genres


def read_movies(release: Release, bad: BadRows) -> tuple[pa.Table, dict[str, Any]]:
    """Read the movies of a release of any kind and, if it has them, their links to TMDB and IMDb.

    Set aside: rows whose id is not a whole number, repeated ids, and rows that `read_rows` refuses.

    Args:
        release: of any kind.
        bad: takes the rows that cannot be used.

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
    """movies.csv and movies.dat: genres are joined by `|`; a title in movies.dat may contain the delimiter."""
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


def _id_once(path: Path, name: str, row: TextRow, lines: dict[int, int], bad: BadRows) -> int | None:
    """The id in a row's first field, noted in `lines`; None, with the row set aside, if it is not an id or is repeated."""
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
