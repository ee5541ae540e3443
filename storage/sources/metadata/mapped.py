"""Metadata from any table of items, by a declared mapping of its columns."""

from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows
from storage.sources.csv_records import COMMA, CsvFormat
from storage.sources.metadata.exports import find_exports, read_export, read_rows
from storage.sources.metadata.fields import Movie, converter
from storage.sources.records import open_records
from storage.tables import SOURCE_SCHEMA


class MetadataFile(BaseModel):
    """A file of metadata, and how its columns are called where it is in no known dialect."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(description="CSV, JSON lines (either also .gz or .zip) or Parquet; a folder of known exports.")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Our names (tmdb_id, imdb_id, overview …) to the file's (plot …); empty: a known TMDB or Kaggle export.",
    )
    licence: str = Field(
        "", max_length=500, description="Terms of the data in one sentence, for manifests and reports."
    )
    list_separator: str = Field("|", min_length=1, max_length=5, description="What parts lists within a cell.")
    csv: CsvFormat = Field(COMMA, description="How a mapped CSV file is written.")

    @model_validator(mode="before")
    @classmethod
    def _from_a_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | Path) else value

    @model_validator(mode="after")
    def _maps_to_what_there_is(self) -> Self:
        unknown = sorted(set(self.columns) - set(SOURCE_SCHEMA.names))
        if unknown:
            raise ValueError(
                f"{self.path}: expected columns among {', '.join(SOURCE_SCHEMA.names)}; found {', '.join(unknown)}."
            )
        if self.columns and not {"tmdb_id", "imdb_id"} & set(self.columns):
            raise ValueError(f"{self.path}: expected a column for tmdb_id or imdb_id, to join by; found neither.")
        return self


def find_metadata(files: tuple[MetadataFile, ...]) -> list[MetadataFile]:
    """Every file by itself: folders become the exports in them.

    Raises:
        MetadataError: a path does not exist, or a folder holds no export.
    """
    return [file.model_copy(update={"path": path}) for file in files for path in find_exports([file.path])]


def read_metadata(file: MetadataFile, bad: BadRows | None = None) -> tuple[pa.Table, dict[str, Any]]:
    """Read one file, by its mapping if it declares one; the first row of an id stays.

    Args:
        file: of `find_metadata`.
        bad: takes the broken rows; they are set aside unless it says otherwise.

    Returns: a table in SOURCE_SCHEMA, and counts.

    Raises:
        MetadataError: damaged, too large, without a mapped column; a broken row, if `bad` rejects.
    """
    if not file.columns:
        return read_export(file.path, bad)
    bad = BadRows("quarantine") if bad is None else bad
    records = open_records(file.path, bad, file.csv)
    require_columns(file.path, records.columns, file.columns.values())
    converters = {name: (column, converter(name, file.list_separator)) for name, column in file.columns.items()}

    def parse(values: dict[str, Any]) -> Movie:
        movie = {}
        for name, (column, convert) in converters.items():
            try:
                movie[name] = convert(values.get(column))
            except ValueError as error:
                raise ValueError(f"{column}: {error}") from None
        return movie

    return read_rows(file.path, records, parse, bad)


def require_columns(path: Path, found: tuple[str, ...], needed: Any) -> None:
    """Make sure that a table has the columns a mapping names; JSON lines, which declare none, have them or nulls.

    Raises:
        MetadataError: one is missing.
    """
    missing = sorted(set(needed) - set(found)) if found else []
    if missing:
        raise MetadataError(
            f"{path}: expected columns {', '.join(missing)}; found {', '.join(found)[:300]}. Mend the mapping of columns."
        )
