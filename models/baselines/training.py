"""The training events that baselines are fit on."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from models.errors import LearnerError

USER_BLOCK = 2048  # users whose rows are dense at a time


@dataclass(frozen=True)
class TrainingData:
    """Training events, grouped by user and in time order, and the embeddings of the I items.

    Legend of shapes:
        users      (N,) int64    user row of each event, ascending
        items      (N,) int64    item index
        rewards    (N,) float32
        times      (N,) int64    unix seconds
        embedding  (I, D) float32
        max_items  upper bound of M: item-to-item matrices hold only the most frequent items, because they cost M² numbers
    """

    users: Tensor
    items: Tensor
    rewards: Tensor
    times: Tensor
    embedding: Tensor
    max_items: int = 8000

    def __post_init__(self) -> None:
        if len(self.items) == 0:
            raise LearnerError("baselines: expected training events; found none. Give more ratings.")

    @property
    def catalogue(self) -> int:
        """I."""
        return len(self.embedding)

    @cached_property
    def counts(self) -> Tensor:
        """Events of each item: (I,) int64."""
        return torch.bincount(self.items, minlength=self.catalogue)

    @cached_property
    def frequent(self) -> Tensor:
        """The `max_items` most frequent items that have events, ascending: (M,) int64."""
        return most_frequent(self.counts, self.max_items, 1)

    @cached_property
    def column(self) -> Tensor:
        """Each item's place in `frequent`, or -1: (I,) int64."""
        return rows_of_items(self.frequent, self.catalogue)

    @cached_property
    def together(self) -> Tensor:
        """How many users rated both of two frequent items: (M, M) float32; the diagonal counts an item's users.

        Costs M multiplications per event; computed in blocks of users, so that memory is M² and one block.
        """
        size = len(self.frequent)
        kept = self.column[self.items] >= 0
        cells = torch.unique(self.users[kept] * size + self.column[self.items[kept]])  # an item rated twice counts once
        _, row = torch.unique_consecutive(cells // size, return_inverse=True)
        place = torch.stack((row, cells % size))
        total = torch.zeros((size, size), device=self.items.device)
        users = int(row[-1]) + 1
        for first in range(0, users, USER_BLOCK):
            begin, end = torch.searchsorted(row, torch.tensor([first, first + USER_BLOCK], device=row.device)).tolist()
            block = place[:, begin:end] - torch.tensor([[first], [0]], device=row.device)
            shape = (min(USER_BLOCK, users - first), size)
            ones = torch.ones(end - begin, device=row.device)
            had = torch.sparse_coo_tensor(block, ones, shape, check_invariants=True).coalesce()
            total += torch.sparse.mm(had.t(), had.to_dense())
        return total


def most_frequent(counts: Tensor, most: int, least: int) -> Tensor:
    """The `most` items with the highest counts, (I,), that have `least` or more, ascending: (M,) int64."""
    ordered = torch.argsort(counts, descending=True, stable=True)[:most]
    return ordered[counts[ordered] >= least].sort().values


def rows_of_items(items: Tensor, catalogue: int) -> Tensor:
    """The place of each of the I items of a catalogue in `items` (M,), or -1: (I,) int64."""
    row = torch.full((catalogue,), -1, device=items.device)
    row[items] = torch.arange(len(items), device=items.device)
    return row
