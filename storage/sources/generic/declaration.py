"""What a source of ratings of any domain declares: its files, their columns and its scale."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from storage.dataset.scale import RatingScale
from storage.sources.csv_records import COMMA, CsvFormat
from storage.tables import METADATA_SCHEMA


class GenericItems(BaseModel):
    """A table of the items, one a row, and what its columns are called."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(description="CSV, JSON lines (either also .gz or .zip) or Parquet.")
    id: str = Field(description="Column of the id, as the ratings write it.")
    title: str | None = Field(None, description="Column of the title; none: the id is the title.")
    text: tuple[str, ...] = Field((), description="Columns of the text that is encoded, joined in this order.")
    categories: str | None = Field(None, description="Column of the categories (as movies' genres).")
    year: str | None = Field(None, description="Column of the year.")
    columns: dict[str, str] = Field(
        default_factory=dict, description="Further columns of the movies table (companies, popularity …) to the file's."
    )
    list_separator: str = Field("|", min_length=1, max_length=5, description="What parts categories and other lists.")
    csv: CsvFormat = Field(COMMA, description="How a CSV file of items is written.")

    @model_validator(mode="after")
    def _maps_to_what_there_is(self) -> Self:
        possible = [name for name in METADATA_SCHEMA.names if name != "overview" or not self.text]
        unknown = sorted(set(self.columns) - set(possible))
        if unknown:
            raise ValueError(f"{self.path}: expected columns among {', '.join(possible)}; found {', '.join(unknown)}.")
        return self


class GenericParams(BaseModel):
    """Where ratings of any domain are, what their columns are called and on which scale they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ratings: Path = Field(description="CSV (also .gz or .zip) or Parquet, one rating a row.")
    user: str = Field("user", description="Column of the user's id, any text.")
    item: str = Field("item", description="Column of the item's id, any text.")
    rating: str = Field("rating", description="Column of the rating, a number.")
    timestamp: str | None = Field("timestamp", description="Column of the time; null: the order of rows is the time.")
    timestamp_unit: Literal["s", "ms", "iso"] = Field(
        "s", description="Seconds or milliseconds since 1970, or ISO 8601 (UTC unless it says otherwise)."
    )
    scale: RatingScale = Field(RatingScale(), description="The ratings there are.")
    round_to_scale: bool = Field(
        False, description="Move ratings between its ends to the nearest of the scale; else they are bad rows."
    )
    csv: CsvFormat = Field(COMMA, description="How a CSV file of ratings is written.")
    licence: str = Field(
        "", max_length=500, description="Terms of the data in one sentence, for manifests and reports."
    )
    items: GenericItems | None = Field(None, description="What is known of the items; null: their ids only.")

    @model_validator(mode="after")
    def _names_different_columns(self) -> Self:
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(
                f"{self.ratings}: expected different columns for user, item, rating, timestamp; found {self.columns}."
            )
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read: user, item, rating and, where there is one, timestamp."""
        return (self.user, self.item, self.rating, *(() if self.timestamp is None else (self.timestamp,)))
