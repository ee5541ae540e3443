"""The parameters of a generic source: its files, their columns and its rating scale."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from storage.dataset.scale import RatingScale
from storage.sources.csv_records import COMMA, CsvFormat
from storage.tables import METADATA_SCHEMA


class GenericItems(BaseModel):
    """A table of items, one item per row, and the names of its columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(description="CSV, JSON lines (either also .gz or .zip) or Parquet.")
    id: str = Field(description="Column of the item's id, as the ratings file writes it.")
    title: str | None = Field(None, description="Column of the title; null: the id is the title.")
    text: tuple[str, ...] = Field((), description="Columns of the text to encode, joined in this order.")
    categories: str | None = Field(None, description="Column of the categories, used like the genres of movies.")
    year: str | None = Field(None, description="Column of the year.")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Further columns of the movies table (companies, popularity …), each with its name in the file.",
    )
    list_separator: str = Field("|", min_length=1, max_length=5, description="Separator of categories and other lists.")
    csv: CsvFormat = Field(COMMA, description="The format of a CSV file of items.")

    @model_validator(mode="after")
    def _maps_known_columns(self) -> Self:
        possible = [name for name in METADATA_SCHEMA.names if name != "overview" or not self.text]
        unknown = sorted(set(self.columns) - set(possible))
        if unknown:
            raise ValueError(
                f"{self.path}: expected columns among {', '.join(possible)}; found {', '.join(unknown)}. Map some of these."
            )
        return self


class GenericParams(BaseModel):
    """The file of ratings of any domain, the names of its columns, and the rating scale."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ratings: Path = Field(description="CSV (also .gz or .zip) or Parquet, one rating per row; columns in any order.")
    user: str = Field("user", description="Column of the user's id, which may be any text.")
    item: str = Field("item", description="Column of the item's id, which may be any text.")
    rating: str = Field("rating", description="Column of the rating, a number.")
    timestamp: str | None = Field("timestamp", description="Column of the time; null: see `row_order`.")
    row_order: Literal["time", "none"] = Field(
        "time",
        description="Of a file without a time. time: its rows are in time order; none: no order is known, so each user's events "
        "get one at random, by a hash of user and item, and of repeated ratings the first row is kept.",
    )
    timestamp_unit: Literal["s", "ms", "iso"] = Field(
        "s", description="Seconds or milliseconds since 1970, or ISO 8601 (UTC unless it says otherwise)."
    )
    scale: RatingScale = Field(RatingScale(), description="The ratings that are accepted.")
    round_to_scale: bool = Field(
        False,
        description="Round ratings to the nearest one of the scale; if false, ratings off the scale are bad rows.",
    )
    csv: CsvFormat = Field(COMMA, description="The format of a CSV file of ratings.")
    licence: str = Field(
        "", max_length=500, description="Licence of the data in one sentence, for manifests and reports."
    )
    items: GenericItems | None = Field(None, description="The table of items; null: only their ids are known.")

    @model_validator(mode="after")
    def _names_different_columns(self) -> Self:
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(
                f"{self.ratings}: expected different columns for user, item, rating, timestamp; found {self.columns}. Name "
                "each once."
            )
        return self

    @model_validator(mode="after")
    def _has_one_order(self) -> Self:
        if self.timestamp is not None and self.row_order == "none":
            raise ValueError(
                f"{self.ratings}: expected no timestamp with row_order none; found timestamp {self.timestamp!r}. "
                "Set timestamp to null, or leave row_order out."
            )
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read: user, item, rating and, if there is one, timestamp."""
        return (self.user, self.item, self.rating, *(() if self.timestamp is None else (self.timestamp,)))
