"""TMDB metadata by file: the CSV exports people have, in their three dialects, zipped or not."""

import ast
import csv
import io
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from storage.errors import MetadataError
from storage.files import kind_of
from storage.tables import METADATA_SCHEMA, MOVIES_SCHEMA

MAX_MEMBER_BYTES = 2 << 30
MAX_TEXT_CHARS = 20_000
CAST_SIZE = 5
LISTS = tuple(field.name for field in METADATA_SCHEMA if pa.types.is_list(field.type))
NO_TEXT = {"", "no overview found.", "no overview", "none", "nan"}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

Row = dict[str, str]
Movie = dict[str, Any]


def find_exports(paths: Sequence[Path]) -> list[Path]:
    """The .csv and .zip files among files and (not searched deeper) folders, in the given order.

    Raises:
        MetadataError: a path does not exist, or a folder holds no export.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in (".csv", ".zip") and p.name[0] != ".")
            if not inside:
                raise MetadataError(f"{path}: expected .csv or .zip exports in this folder; found none.")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise MetadataError(f"{path}: expected a metadata export or a folder of them; found nothing there.")
    return found


def read_export(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Read one export into tmdb_id, imdb_id and the columns of METADATA_SCHEMA.

    Broken rows and repeated ids are dropped and counted; the first row of an id stays.

    Raises:
        MetadataError: not a CSV or a zip of one, too large, or of no known dialect.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    name, text = _open_text(path)
    reader = csv.DictReader(text, restkey="__rest__")
    header = tuple(reader.fieldnames or ())
    parse = _dialect(path, header)
    movies: dict[int, Movie] = {}
    facts: dict[str, Any] = {"member": name, "rows": 0, "dropped_broken": 0, "dropped_repeated": 0, "texts_cut": 0}
    try:
        for row in reader:
            facts["rows"] += 1
            try:
                movie = parse(row)
            except (ValueError, SyntaxError, KeyError, TypeError, AttributeError, MemoryError, RecursionError):
                facts["dropped_broken"] += 1
                continue
            if movie["tmdb_id"] in movies:
                facts["dropped_repeated"] += 1
                continue
            facts["texts_cut"] += len(row.get("overview") or "") > MAX_TEXT_CHARS
            movies[movie["tmdb_id"]] = movie
    except (csv.Error, UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise MetadataError(f"{path}: expected a whole UTF-8 CSV; found: {error}. Fetch it again.") from error
    if not movies:
        raise MetadataError(f"{path}: expected movies; found {facts['rows']} rows, none readable. Fetch it again.")
    schema = pa.schema([("tmdb_id", pa.int64()), ("imdb_id", pa.string()), *METADATA_SCHEMA])
    return pa.Table.from_pylist(list(movies.values()), schema=schema), facts


def join_metadata(movies: pa.Table, exports: Sequence[tuple[str, pa.Table]]) -> tuple[pa.Table, dict[str, Any]]:
    """Join movies with exports by TMDB id, else by IMDb id; for every field the first export that has it wins.

    Args:
        movies: in IDENTITY_SCHEMA.
        exports: (name, table of `read_export`), the most trusted first.

    Returns: a table in MOVIES_SCHEMA, and coverage and conflict counts.
    """
    lookups = []
    for name, table in exports:
        rows = table.to_pylist()
        by_imdb = {row["imdb_id"]: row for row in rows if row["imdb_id"]}
        lookups.append((name, {row["tmdb_id"]: row for row in rows}, by_imdb))
    joined, covered, disagreeing = [], {name: 0 for name, _ in exports}, 0
    for movie in movies.to_pylist():
        merged: Movie = {field: [] if field in LISTS else None for field in METADATA_SCHEMA.names}
        used = []
        for name, by_tmdb, by_imdb in lookups:
            row = by_tmdb.get(movie["tmdb_id"])
            if row is not None and row["imdb_id"] and movie["imdb_id"] and row["imdb_id"] != movie["imdb_id"]:
                disagreeing += 1
            row = row or by_imdb.get(movie["imdb_id"])
            if row is None:
                continue
            covered[name] += 1
            used.append(name)
            for field in METADATA_SCHEMA.names:
                if merged[field] in (None, []):
                    merged[field] = row[field]
        joined.append(movie | merged | {"has_metadata": bool(used), "metadata_source": "+".join(used) or None})
    facts = {
        "covered": sum(movie["has_metadata"] for movie in joined),
        "covered_by": covered,
        "joined_by_tmdb_id_against_imdb_id": disagreeing,
    }
    return pa.Table.from_pylist(joined, schema=MOVIES_SCHEMA), facts


def _open_text(path: Path) -> tuple[str, Iterable[str]]:
    with path.open("rb") as stream:
        kind = kind_of(stream.read(512))
    if kind == "empty":
        raise MetadataError(f"{path}: expected a metadata export; the file is empty. Fetch it again.")
    if kind == "a web page":
        raise MetadataError(f"{path}: expected a {path.suffix or 'CSV'} file; found a web page. Fetch it again.")
    if path.suffix.lower() != ".zip":
        return path.name, path.open(encoding="utf-8-sig", errors="strict", newline="")
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise MetadataError(f"{path}: expected a zip archive; found something else. Fetch it again.") from error
    members = [
        member
        for member in archive.infolist()
        if member.filename.lower().endswith(".csv")
        and not any(part.startswith((".", "__MACOSX")) for part in Path(member.filename).parts)
    ]
    if len(members) != 1:
        raise MetadataError(f"{path}: expected one .csv in the archive; found {[m.filename for m in members]}.")
    if members[0].file_size > MAX_MEMBER_BYTES:
        raise MetadataError(f"{path}: expected at most {MAX_MEMBER_BYTES} bytes; found {members[0].file_size}.")
    member = archive.open(members[0])
    return members[0].filename, io.TextIOWrapper(member, encoding="utf-8-sig", errors="strict", newline="")


def _dialect(path: Path, header: tuple[str, ...]) -> Callable[[Row], Movie]:
    columns = set(header)
    if {"id", "imdb_id", "release_year", "overview"} <= columns:
        return _tmdb_movies
    if {"id", "overview", "production_companies", "keywords"} <= columns:
        return _tmdb_5000
    if {"id", "imdb_id", "overview", "belongs_to_collection"} <= columns:
        return _movies_metadata
    raise MetadataError(
        f"{path}: expected the header of tmdb-movies.csv, tmdb_5000_movies.csv or movies_metadata.csv; "
        f"found {','.join(header)[:200]!r}."
    )


def _tmdb_movies(row: Row) -> Movie:
    """The Udacity set: `|` lists, 0 for unknown, two-digit years in release_date (not used)."""
    return _common(row) | {
        "companies": _piped(row["production_companies"]),
        "keywords": _piped(row["keywords"]),
        "cast": _piped(row["cast"])[:CAST_SIZE],
        "directors": _piped(row["director"]),
    }


def _tmdb_5000(row: Row) -> Movie:
    """The Kaggle 5000 set: JSON arrays of objects."""

    def names(column: str) -> list[str]:
        return _names(json.loads(row.get(column) or "[]"))

    return _common(row) | {
        "companies": names("production_companies"),
        "keywords": names("keywords"),
        "countries": names("production_countries"),
        "languages": names("spoken_languages"),
    }


def _movies_metadata(row: Row) -> Movie:
    """The Movies Dataset: Python literals, and some rows shifted by a stray line break (dropped as broken)."""

    def names(column: str) -> list[str]:
        return _names(ast.literal_eval(row.get(column) or "[]"))

    collection = ast.literal_eval(row["belongs_to_collection"] or "None")
    return _common(row) | {
        "companies": names("production_companies"),
        "countries": names("production_countries"),
        "languages": names("spoken_languages"),
        "collection": collection["name"] if collection else None,
    }


def _common(row: Row) -> Movie:
    if "__rest__" in row:
        raise ValueError("more fields than columns")
    imdb = (row.get("imdb_id") or "").strip()
    empty: Movie = {field: [] if field in LISTS else None for field in METADATA_SCHEMA.names}
    return empty | {
        "tmdb_id": int(row["id"]),
        "imdb_id": imdb if re.fullmatch(r"tt\d+", imdb) else None,
        "tagline": _text(row.get("tagline")),
        "overview": _text(row.get("overview")),
        "original_language": _text(row.get("original_language")),
        "runtime_minutes": _positive(row.get("runtime")),
        # Amounts below 1,000 dollars were entered in millions, or are jokes: unknown.
        "budget_usd": _positive(row.get("budget"), least=1000),
        "revenue_usd": _positive(row.get("revenue"), least=1000),
        "popularity": _positive(row.get("popularity")),
        "vote_average": _positive(row.get("vote_average")),
        "vote_count": _positive(row.get("vote_count")),
    }


def _text(value: str | None) -> str | None:
    clean = " ".join(CONTROL.sub(" ", (value or "")[:MAX_TEXT_CHARS]).split())
    return None if clean.lower() in NO_TEXT else clean


def _positive(value: str | None, least: float = 0.0) -> float | None:
    number = float(value) if value and value.strip() else 0.0
    return number if max(least, 1e-12) <= number < 1e12 else None


def _piped(value: str | None) -> list[str]:
    return [name for part in (value or "").split("|") if (name := _text(part))]


def _names(entries: list[dict[str, Any]]) -> list[str]:
    return [name for entry in entries if (name := _text(entry["name"]))]
