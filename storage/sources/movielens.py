"""MovieLens releases in CSV: movies and links, with every row checked or counted."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from storage.errors import RatingsSchemaError, SourceError
from storage.files import kind_of
from storage.tables import IDENTITY_SCHEMA

TITLE = re.compile(r"^(?P<title>.*?)\s*(?:\((?P<year>1[89]\d\d|20\d\d)(?:[-–]\d*)?\))?\s*$", re.DOTALL)
ARTICLE = re.compile(r"^(?P<title>.*), (?P<article>The|A|An|Les|Le|La|L'|Il|El|Das|Der|Die|Los|Las)(?P<rest> \(.*\))?$")


def source_files(folder: Path) -> dict[str, Path | None]:
    """The files of a release by name; optional ones (links, tags) may be None.

    Raises:
        SourceError: ratings.csv or movies.csv is missing.
    """
    files: dict[str, Path | None] = {}
    for name, needed in (("ratings.csv", True), ("movies.csv", True), ("links.csv", False), ("tags.csv", False)):
        path = folder / name
        if path.is_file():
            files[name] = path
        elif needed:
            found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:10]) if folder.is_dir() else "no folder"
            raise SourceError(
                f"{folder}: expected {name}; found {found or 'nothing'}. Give the folder of an unpacked MovieLens release."
            )
        else:
            files[name] = None
    return files


def read_movies(folder: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Read movies.csv and, where there is one, links.csv.

    Returns: a table in IDENTITY_SCHEMA sorted by movie_id, and counts.

    Raises:
        SourceError, RatingsSchemaError: a file is not what its name says, or a movie id occurs twice.
    """
    path = folder / "movies.csv"
    table = _read_csv(path, {"movieId": pa.int64(), "title": pa.string(), "genres": pa.string()})
    if table.num_rows == 0 or table["movieId"].null_count:
        raise SourceError(
            f"{path}: expected a movie with an id per line; found {table.num_rows} lines, or ids missing."
        )
    table = table.sort_by("movieId")
    ids = table["movieId"].to_numpy()
    if (np.diff(ids) == 0).any():
        twice = ids[1:][np.diff(ids) == 0][:3].tolist()
        raise SourceError(f"{path}: expected every movieId once; found {twice} repeated. Remove the second lines.")
    parsed = [parse_title(title or "") for title in table["title"].to_pylist()]
    genres = [
        [genre for genre in (text or "").split("|") if genre and genre != "(no genres listed)"]
        for text in table["genres"].to_pylist()
    ]
    tmdb, imdb, facts = _links(folder / "links.csv")
    movie_ids = ids.tolist()
    movies = pa.table(
        [
            movie_ids,
            [str(movie) for movie in movie_ids],
            [tmdb.get(movie) for movie in movie_ids],
            [imdb.get(movie) for movie in movie_ids],
            [title or f"movie {movie}" for movie, (title, _) in zip(movie_ids, parsed, strict=True)],
            [year for _, year in parsed],
            genres,
        ],
        schema=IDENTITY_SCHEMA,
    )
    linked = [tmdb[movie] for movie in movie_ids if tmdb.get(movie) is not None]
    return movies, {
        "movies": len(movie_ids),
        "without_year": sum(year is None for _, year in parsed),
        "without_genres": sum(not names for names in genres),
        "without_tmdb_id": len(movie_ids) - len(linked),
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


def _links(path: Path) -> tuple[dict[int, int | None], dict[int, str], dict[str, Any]]:
    if not path.is_file():
        return {}, {}, {"links": "absent"}
    table = _read_csv(path, {"movieId": pa.int64(), "imdbId": pa.string(), "tmdbId": pa.int64()})
    ids = table["movieId"].to_pylist()
    tmdb = dict(zip(ids, table["tmdbId"].to_pylist(), strict=True))
    digits = (
        (movie, (text or "").removeprefix("tt")) for movie, text in zip(ids, table["imdbId"].to_pylist(), strict=True)
    )
    imdb = {movie: f"tt{int(text):07d}" for movie, text in digits if text.isdigit()}
    return tmdb, imdb, {"links": len(ids)}


def _read_csv(path: Path, types: dict[str, pa.DataType]) -> pa.Table:
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
        raise RatingsSchemaError(
            f"{path}: expected columns {','.join(types)}; found {','.join(header)[:200]}. Fetch it again."
        )
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
