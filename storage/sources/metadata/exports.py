"""Metadata by file: the TMDB and Kaggle exports people have, in CSV dialects and JSON lines, packed or not."""

import ast
import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows
from storage.sources.metadata import fields
from storage.sources.metadata.fields import CAST_SIZE, LEAST, Movie, list_of_texts, number, source_table, text
from storage.sources.metadata.tmdb_details import parse_details
from storage.sources.records import Records, open_records

SUFFIXES = (".csv", ".csv.gz", ".zip", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".json.gz")
CHUNK_ROWS = 20_000  # rows held as Python objects at a time
MAX_CELL_CHARS = 1 << 20

# Python literals as pandas writes them into CSV files: lists of flat objects. A grammar, not `eval`: no depth, no bombs.
STRING = r"(?:'[^'\\]*+(?:\\.[^'\\]*+)*+'|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\")"
PAIR = rf"({STRING})\s*+:\s*+({STRING}|-?\d++(?:\.\d++)?|None|True|False)"
OBJECT = rf"\{{\s*+(?:{PAIR}\s*+,?\s*+)*+\}}"
LITERAL_OBJECT = re.compile(rf"\s*+{OBJECT}\s*+", re.DOTALL)
LITERAL_OBJECTS = re.compile(rf"\s*+\[\s*+(?:{OBJECT}\s*+,?\s*+)*+\]\s*+", re.DOTALL)
LITERAL_PAIR = re.compile(PAIR, re.DOTALL)

Row = dict[str, str]


def find_exports(paths: Sequence[Path]) -> list[Path]:
    """The exports among files and (not searched deeper) folders, in the given order.

    Raises:
        MetadataError: a path does not exist, or a folder holds no export.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.name.lower().endswith(SUFFIXES) and p.name[0] != ".")
            if not inside:
                raise MetadataError(f"{path}: expected exports ({', '.join(SUFFIXES)}) in this folder; found none.")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise MetadataError(f"{path}: expected a metadata export or a folder of them; found nothing there.")
    return found


def read_export(path: Path, bad: BadRows | None = None) -> tuple[pa.Table, dict[str, Any]]:
    """Read one export of a known dialect; the first row of an id stays.

    Known: tmdb-movies.csv; tmdb_5000_movies.csv and its tmdb_5000_credits.csv; movies_metadata.csv and its credits.csv
    and keywords.csv; JSON lines of TMDB's movie details.

    Args:
        path: of a plain, .gz or .zip file.
        bad: takes the broken rows; real exports have some, so they are set aside unless it says otherwise.

    Returns: a table in SOURCE_SCHEMA, and counts.

    Raises:
        MetadataError: damaged, too large, or of no known dialect; a broken row, if `bad` rejects.
    """
    if path.suffix.lower() == ".parquet":
        raise MetadataError(
            f"{path}: expected a CSV or JSON-lines export; found Parquet. Map its columns in MetadataFile."
        )
    bad = BadRows("quarantine") if bad is None else bad
    records = open_records(path, bad)
    return read_rows(path, records, _dialect(path, records), bad)


def read_rows(
    path: Path, records: Records, parse: Callable[[dict[str, Any]], Movie], bad: BadRows
) -> tuple[pa.Table, dict[str, Any]]:
    """Parse rows into a table in SOURCE_SCHEMA, and counts.

    Args:
        path: of the file, for errors.
        records: its rows.
        parse: a row as a movie; raises ValueError (expected …; found …) where it cannot.
        bad: takes the rows that cannot be parsed.

    Raises:
        MetadataError: no row could be read, or (if `bad` rejects) one could not.
    """
    tally = {"rows": 0, "dropped_repeated": 0, "texts_cut": 0}
    before = len(bad.rows)
    chunks = [source_table(chunk) for chunk in _chunks(_movies(records, parse, bad, tally))]
    broken = len(bad.rows) - before
    if not chunks:
        raise MetadataError(
            f"{path}: expected movies; found {tally['rows'] + broken} rows, none readable. Fetch it again."
        )
    return pa.concat_tables(chunks), {"member": records.name, **tally, "dropped_broken": broken}


def _movies(
    records: Records, parse: Callable[[dict[str, Any]], Movie], bad: BadRows, tally: dict[str, int]
) -> Iterator[Movie]:
    seen: set[int | str] = set()
    for line, values in records.rows:
        tally["rows"] += 1
        try:
            movie = parse(values)
            identity = movie.get("tmdb_id") or movie.get("imdb_id")
            if identity is None:
                raise ValueError("expected a TMDB or IMDb id; found neither")
        except (ValueError, RecursionError) as error:
            bad.add(records.name, line, str(error), _shown(values), MetadataError)
            continue
        if identity in seen:
            tally["dropped_repeated"] += 1
            continue
        seen.add(identity)
        overview = values.get("overview")
        tally["texts_cut"] += isinstance(overview, str) and len(overview) > fields.MAX_TEXT_CHARS
        yield movie


def _shown(values: dict[str, Any]) -> str:
    return " | ".join(f"{name}: {str(value)[:40]}" for name, value in list(values.items())[:10])


def _chunks(movies: Iterator[Movie]) -> Iterator[list[Movie]]:
    chunk: list[Movie] = []
    for movie in movies:
        chunk.append(movie)
        if len(chunk) == CHUNK_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _dialect(path: Path, records: Records) -> Callable[[dict[str, Any]], Movie]:
    if not records.columns:
        return _details
    for needed, parse in DIALECTS:
        if needed <= set(records.columns):
            return parse
    raise MetadataError(
        f"{path}: expected the header of tmdb-movies.csv, tmdb_5000_movies.csv or movies_metadata.csv (or of their credits "
        f"and keywords); found {','.join(records.columns)[:200]!r}. Map its columns with `columns=` in MetadataFile."
    )


def _details(body: dict[str, Any]) -> Movie:
    """TMDB's own answers, one a line; errors among them have no id."""
    movie = parse_details(body)
    if movie["tmdb_id"] is None:
        found = body.get("status_message") or ", ".join(body) or "nothing"
        raise ValueError(f"expected movie details with an id; found {str(found)[:80]}")
    return movie


def _tmdb_movies(row: Row) -> Movie:
    """The Udacity set: `|` lists, 0 for unknown."""
    return _common(row) | {
        "release_date": _short_date(row.get("release_date") or "", row["release_year"]),
        "metadata_genres": list_of_texts(row.get("genres"), "|"),
        "companies": list_of_texts(row.get("production_companies"), "|"),
        "keywords": list_of_texts(row.get("keywords"), "|"),
        "cast": list_of_texts(row.get("cast"), "|")[:CAST_SIZE],
        "directors": list_of_texts(row.get("director"), "|"),
    }


def _short_date(value: str, year: str) -> dt.date | None:
    """6/9/15 with the century of the release year, where the two agree: 1/1/66 alone may be 1966 or 2066."""
    match = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d\d(?:\d\d)?)", value.strip())
    if not match or not re.fullmatch(r"\d{4}", year.strip()) or int(year) % 100 != int(match[3]) % 100:
        return None
    try:
        return dt.date(int(year), int(match[1]), int(match[2]))
    except ValueError:
        return None


def _tmdb_5000(row: Row) -> Movie:
    """The Kaggle 5000 set: JSON arrays of objects."""
    return _common(row) | {
        "release_date": fields.date(row.get("release_date")),
        "status": text(row.get("status")),
        "metadata_genres": _json_names(row.get("genres")),
        "companies": _json_names(row["production_companies"]),
        "keywords": _json_names(row["keywords"]),
        "countries": _json_names(row["production_countries"]),
        "languages": _json_names(row["spoken_languages"]),
    }


def _movies_metadata(row: Row) -> Movie:
    """The Movies Dataset: Python literals, and some rows shifted by a stray line break (broken)."""
    collection = row["belongs_to_collection"]
    return _common(row) | {
        "collection": _literal_name(collection) if collection else None,
        "release_date": fields.date(row.get("release_date")),
        "status": text(row.get("status")),
        "adult": fields.flag(row.get("adult")),
        "metadata_genres": _literal_names(row.get("genres")),
        "companies": _literal_names(row.get("production_companies")),
        "countries": _literal_names(row.get("production_countries")),
        "languages": _literal_names(row.get("spoken_languages")),
    }


def _tmdb_5000_credits(row: Row) -> Movie:
    """The people of the Kaggle 5000 set."""
    people = fields.credited(fields.objects(_json(row["cast"])), fields.objects(_json(row["crew"])))
    return {"tmdb_id": _needed_id(row["movie_id"])} | people


def _movies_credits(row: Row) -> Movie:
    """The people of the Movies Dataset."""
    return {"tmdb_id": _needed_id(row["id"])} | fields.credited(_literals(row["cast"]), _literals(row["crew"]))


def _movies_keywords(row: Row) -> Movie:
    """The keywords of the Movies Dataset."""
    return {"tmdb_id": _needed_id(row["id"]), "keywords": _literal_names(row["keywords"])}


# What a header must have, the more telling first.
DIALECTS: tuple[tuple[set[str], Callable[[dict[str, Any]], Movie]], ...] = (
    ({"id", "imdb_id", "release_year", "overview"}, _tmdb_movies),
    ({"id", "overview", "production_companies", "keywords", "production_countries", "spoken_languages"}, _tmdb_5000),
    ({"id", "imdb_id", "overview", "belongs_to_collection"}, _movies_metadata),
    ({"movie_id", "cast", "crew"}, _tmdb_5000_credits),
    ({"id", "cast", "crew"}, _movies_credits),
    ({"id", "keywords"}, _movies_keywords),
)


def _needed_id(cell: str) -> int:
    identity = fields.tmdb_id(cell)
    if identity is None:
        raise ValueError("expected a TMDB id; found none")
    return identity


def _common(row: Row) -> Movie:
    return {
        "tmdb_id": _needed_id(row["id"]),
        "imdb_id": fields.imdb_id(row.get("imdb_id")),
        "tagline": text(row.get("tagline")),
        "overview": text(row.get("overview")),
        "original_title": text(row.get("original_title")),
        "original_language": text(row.get("original_language")),
        "runtime_minutes": number(row.get("runtime"), LEAST["runtime_minutes"]),
        "budget_usd": number(row.get("budget"), LEAST["budget_usd"]),
        "revenue_usd": number(row.get("revenue"), LEAST["revenue_usd"]),
        "popularity": number(row.get("popularity"), LEAST["popularity"]),
        "vote_average": number(row.get("vote_average"), LEAST["vote_average"]),
        "vote_count": number(row.get("vote_count"), LEAST["vote_count"]),
    }


def _json(cell: str | None) -> Any:
    if not cell:
        return []
    if len(cell) > MAX_CELL_CHARS:
        raise ValueError(f"expected a JSON list; found {len(cell)} characters")
    try:
        return json.loads(cell)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected a JSON list of objects with names; found {cell[:40]!r} ({error})") from None


def _json_names(cell: str | None) -> list[str]:
    return list_of_texts(_json(cell))


def _literals(cell: str) -> list[dict[str, Any]]:
    """The objects of a Python literal with those of their values that are texts."""
    if not LITERAL_OBJECTS.fullmatch(cell):
        raise ValueError(f"expected a list of objects; found {cell[:40]!r}")
    return [
        {key[1:-1]: _unquoted(value) for key, value in LITERAL_PAIR.findall(match[0])}
        for match in LITERAL_OBJECT.finditer(cell)
    ]


@lru_cache(maxsize=1 << 14)  # genres, countries and languages recur from row to row
def _names_in(cell: str) -> tuple[str, ...]:
    return tuple(name for entry in _literals(cell) if (name := entry.get("name")))


def _literal_names(cell: str | None) -> list[str]:
    return list(_names_in(cell)) if cell else []


def _literal_name(cell: str) -> str | None:
    if not LITERAL_OBJECT.fullmatch(cell):
        raise ValueError(f"expected an object with a name; found {cell[:40]!r}")
    return _literals(f"[{cell}]")[0].get("name")


def _unquoted(literal: str) -> str | None:
    if literal[0] not in "'\"":
        return None
    if "\\" not in literal:
        return text(literal[1:-1])
    try:
        return text(ast.literal_eval(literal))  # one string, so there is nothing to nest
    except SyntaxError as error:
        raise ValueError(f"expected a quoted name; found {literal[:40]!r} ({error.msg})") from None
