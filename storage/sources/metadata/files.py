"""Find metadata files and read each one, by a known dialect or by the mapping of columns that its user declares."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows
from storage.sources.csv_records import COMMA, CsvFormat
from storage.sources.given_files import file_in
from storage.sources.metadata.dialects import find_dialect
from storage.sources.metadata.fields import MAX_TEXT_CHARS, Movie, converter, source_table
from storage.sources.records import Records, open_records
from storage.tables import SOURCE_SCHEMA

SUFFIXES = (".csv", ".csv.gz", ".zip", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".json.gz")
CHUNK_ROWS = 20_000  # held as Python objects at a time


class MetadataFile(BaseModel):
    """A file of metadata, and the names of its columns if it is in no known dialect."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(description="CSV, JSON lines (either also .gz or .zip) or Parquet; a folder of known exports.")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Our names (tmdb_id, imdb_id, overview …) to the file's (plot …); empty: a known TMDB or Kaggle export.",
    )
    licence: str = Field(
        "", max_length=500, description="Terms of the data in one sentence, for manifests and reports."
    )
    list_separator: str = Field("|", min_length=1, max_length=5, description="Separator of lists within a cell.")
    csv: CsvFormat = Field(COMMA, description="Format of the file, if it is CSV.")

    @model_validator(mode="before")
    @classmethod
    def _from_a_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | Path) else value

    @model_validator(mode="after")
    def _maps_known_columns(self) -> Self:
        unknown = sorted(set(self.columns) - set(SOURCE_SCHEMA.names))
        if unknown:
            raise ValueError(
                f"{self.path}: expected columns among {', '.join(SOURCE_SCHEMA.names)}; found {', '.join(unknown)}. Map some of these."
            )
        if self.columns and not {"tmdb_id", "imdb_id"} & set(self.columns):
            raise ValueError(
                f"{self.path}: expected a column for tmdb_id or imdb_id, to join by; found neither. Map one."
            )
        return self


class MetadataTable(NamedTuple):
    """What one file says of movies."""

    table: pa.Table  # in SOURCE_SCHEMA
    facts: dict[str, Any]  # counts
    licences: tuple[str, ...]  # the declared one and the dialect's


def find_metadata(files: tuple[MetadataFile, ...]) -> list[MetadataFile]:
    """The files in the given order; a folder stands for the exports in it (not in folders below).

    Raises:
        MetadataError: a path does not exist; or a folder holds no export, or one that is not a regular file or a link that
            leads out of the folder.
    """
    return [file.model_copy(update={"path": path}) for file in files for path in _exports_at(file.path)]


def _exports_at(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise MetadataError(
            f"{path}: expected a metadata export or a folder of them; found nothing there. Check the path."
        )
    names = sorted(file.name for file in path.iterdir())
    exports = [name for name in names if name.lower().endswith(SUFFIXES) and name[0] != "."]
    if not exports:
        raise MetadataError(
            f"{path}: expected exports ({', '.join(SUFFIXES)}) in this folder; found none. Give another folder."
        )
    return [file for name in exports if (file := file_in(path, name, MetadataError))]


def read_metadata(file: MetadataFile, bad: BadRows | None = None) -> MetadataTable:
    """Read one file, by its mapping if it declares one, else by its dialect; the first row of an id stays.

    Args:
        file: of `find_metadata`, plain, .gz or .zip.
        bad: takes the broken rows; default: they are set aside, because real exports have some.

    Raises:
        MetadataError: the file is damaged, too large, in no known dialect or without a mapped column, or a row is
            broken and `bad` rejects it.
    """
    if not file.columns and file.path.suffix.lower() == ".parquet":
        raise MetadataError(
            f"{file.path}: expected a CSV or JSON-lines export; found Parquet. Map its columns in MetadataFile."
        )
    bad = BadRows("quarantine") if bad is None else bad
    records = open_records(file.path, bad, file.csv, file.columns.values())
    licences = (file.licence,) if file.licence else ()
    if file.columns:
        require_columns(file.path, records.columns, file.columns.values())
        parse = mapped(file.columns, file.list_separator)
    else:
        dialect = find_dialect(file.path, records.columns)
        parse, licences = dialect.parse, (*licences, dialect.licence)
    return MetadataTable(*parse_rows(file.path, records, parse, bad), licences)


def mapped(columns: dict[str, str], separator: str) -> Callable[[dict[str, Any]], Movie]:
    """A parser of rows by a declared mapping.

    Args:
        columns: our names to the file's.
        separator: of lists within a cell.
    """
    converters = {name: (column, converter(name, separator)) for name, column in columns.items()}

    def parse(values: dict[str, Any]) -> Movie:
        movie = {}
        for name, (column, convert) in converters.items():
            try:
                movie[name] = convert(values.get(column))
            except ValueError as error:
                raise ValueError(f"{column}: {error}") from None
        return movie

    return parse


def parse_rows(
    path: Path, records: Records, parse: Callable[[dict[str, Any]], Movie], bad: BadRows
) -> tuple[pa.Table, dict[str, Any]]:
    """Parse rows into a table in SOURCE_SCHEMA; the first row of an id stays.

    Args:
        path: of the file, for errors.
        records: its rows.
        parse: a row as a movie; raises ValueError (expected …; found …) for a broken one.
        bad: takes the broken rows.

    Raises:
        MetadataError: no row could be read, or (if `bad` rejects) one could not.
    """
    tally = {"rows": 0, "dropped_repeated": 0, "texts_cut": 0}
    before = len(bad.rows)
    movies = _movies(records, parse, bad, tally)
    chunks = [source_table(chunk) for chunk in iter(lambda: list(islice(movies, CHUNK_ROWS)), [])]
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
        tally["texts_cut"] += isinstance(overview, str) and len(overview) > MAX_TEXT_CHARS
        yield movie


def _shown(values: dict[str, Any]) -> str:
    return " | ".join(f"{name}: {str(value)[:40]}" for name, value in list(values.items())[:10])


def require_columns(path: Path, found: tuple[str, ...], needed: Iterable[str]) -> None:
    """Check that a table has the columns that a mapping names; JSON lines have no header and are not checked.

    Raises:
        MetadataError: one is missing.
    """
    missing = sorted(set(needed) - set(found)) if found else []
    if missing:
        raise MetadataError(
            f"{path}: expected columns {', '.join(missing)}; found {', '.join(found)[:300]}. Correct the mapping of columns."
        )
