"""The items of a stored policy: ids, titles, years, genres, popularity and embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from serving.errors import UnknownItemError
from serving.titles import Titles
from storage.checked_tables import read_columns
from storage.dataset.item_index import ItemIndex
from storage.dataset.item_table import read_item_embeddings
from storage.errors import DatasetError
from storage.tables import array_of

T = TypeVar("T")
COLUMNS = {
    "external_id": pa.string(),
    "title": pa.string(),
    "year": pa.int16(),
    "genres": pa.list_(pa.string()),
    "training_events": pa.int64(),
}


@dataclass(frozen=True)
class Catalogue:
    """What is known of the I items that a policy ranks.

    Attributes:
        ids: (I,) int64, ascending.
        external_ids: (I,) the ids as written in their source.
        titles: (I,) without years.
        years: (I,) int64; 0 where unknown.
        genres: (I,) of each item.
        events: (I,) float32, training events.
        embedding: (I, D) float32.
    """

    ids: NDArray[np.int64]
    external_ids: tuple[str, ...]
    titles: tuple[str, ...]
    years: NDArray[np.int64]
    genres: tuple[tuple[str, ...], ...]
    events: Tensor
    embedding: Tensor

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the items table of a policy.

        Raises:
            DatasetError: the table is not valid, or is one of a version that did not write years, genres and events.
        """
        ids, embedding = read_item_embeddings(path)
        table = read_columns(path, COLUMNS, nullable=("external_id", "title", "year", "genres"))
        events = array_of(table["training_events"].combine_chunks())
        if events.min() < 0:
            raise DatasetError(f"{path}: expected counts of training events; found {events.min()}. Pull it again.")
        years = np.array([year or 0 for year in table["year"].to_pylist()], dtype=np.int64)
        titles = (title or f"item {item}" for item, title in zip(ids.tolist(), table["title"].to_pylist(), strict=True))
        return cls(
            ids=ids,
            external_ids=tuple(text or "" for text in table["external_id"].to_pylist()),
            titles=tuple(
                printable(title.removesuffix(f" ({year})")) for title, year in zip(titles, years.tolist(), strict=True)
            ),
            years=years,
            genres=tuple(tuple(map(printable, filter(None, names or ()))) for names in table["genres"].to_pylist()),
            events=torch.from_numpy(events.astype(np.float32)),
            embedding=torch.from_numpy(embedding),
        )

    def with_further(self, other: Self) -> Self:
        """These items and further ones, whose ids are others, in the order of all ids."""
        order = np.argsort(np.concatenate((self.ids, other.ids)))

        def merged(mine: Sequence[T], theirs: Sequence[T]) -> tuple[T, ...]:
            both = (*mine, *theirs)
            return tuple(both[place] for place in order.tolist())

        return type(self)(
            ids=np.concatenate((self.ids, other.ids))[order],
            external_ids=merged(self.external_ids, other.external_ids),
            titles=merged(self.titles, other.titles),
            years=np.concatenate((self.years, other.years))[order],
            genres=merged(self.genres, other.genres),
            events=torch.cat((self.events, other.events))[order],
            embedding=torch.cat((self.embedding, other.embedding))[order],
        )

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def index(self) -> ItemIndex:
        """Finds item indices of ids."""
        return ItemIndex(self.ids)

    @cached_property
    def unit(self) -> Tensor:
        """(I, D) embeddings of length 1."""
        return normalize(self.embedding, dim=1)

    @cached_property
    def plane(self) -> Tensor:
        """(I, 2) embeddings on their first two principal components."""
        centred = (self.embedding - self.embedding.mean(0)).double()
        _, directions = torch.linalg.eigh(centred.T @ centred)  # by ascending variance
        found: Tensor = (centred @ directions[:, -2:].flip(1)).float()
        return found

    @cached_property
    def by_title(self) -> Titles:
        """Finds items by title."""
        return Titles(self.titles, self.years, self.events.numpy().astype(np.int64))

    @cached_property
    def genre_masks(self) -> dict[str, Tensor]:
        """By genre in small letters: (I,) bool, the items that have it."""
        masks: dict[str, Tensor] = {}
        for item, names in enumerate(self.genres):
            for name in names:
                masks.setdefault(name.casefold(), torch.zeros(len(self), dtype=torch.bool))[item] = True
        return masks

    def place_of(self, movie_id: int) -> int:
        """The item index of an id.

        Raises:
            UnknownItemError: no item has it.
        """
        place = int(self.index.of(np.array([movie_id], dtype=np.int64))[0])
        if place < 0:
            raise UnknownItemError(f"movie_id: expected an id of the catalogue; found {movie_id}. Search by title.")
        return place

    def year(self, item: int) -> int | None:
        """The year of an item; None if unknown."""
        return int(self.years[item]) or None

    def with_year(self, item: int) -> str:
        """The title of an item with its year, if that is known."""
        year = self.year(item)
        return self.titles[item] if year is None else f"{self.titles[item]} ({year})"

    def similar(self, item: int, most: int) -> list[tuple[int, float]]:
        """The items whose embeddings are the most similar to one item's, with the cosine."""
        cosine = self.unit @ self.unit[item]
        cosine[item] = -torch.inf
        best = cosine.topk(min(most, len(self) - 1))
        return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def printable(text: str) -> str:
    """Text without control characters, which a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
