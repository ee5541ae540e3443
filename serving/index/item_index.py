"""The interface of all item indexes, the exact one, and the part that approximate ones share."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize, pad

from models.errors import LearnerError
from models.nearest import NearestItems, Similarity, top_items, without
from serving.index.params import StoredIndex

Floats = NDArray[np.float32]
FEW = 50_000  # allowed items up to this number are searched exactly: quicker than asking an engine for many more than k
SPARE = 2  # how many times the expected need an engine is asked for, if a filter drops some


class Found(NamedTuple):
    """The nearest items: items (B, k) int64, nearest first, and scores (B, k) float32; -1 and -inf where there are fewer."""

    items: Tensor
    scores: Tensor


class VectorIndex(ABC):
    """Searches for the items nearest to vectors; scores are those of `NearestItems`, higher is nearer.

    Legend of shapes: I items, D numbers per vector, B vectors that are searched for.
    """

    def __init__(self, vectors: Floats, measure: Similarity) -> None:
        """Keep the items.

        Args:
            vectors: (I, D), of length 1 if the measure is the cosine; they may be mapped from a file.
            measure: of nearness.
        """
        self.vectors, self.measure = vectors, measure

    def search(
        self,
        vectors: Tensor,
        k: int,
        exclude: Tensor | None = None,
        filter: Tensor | None = None,
    ) -> Found:
        """Find the nearest items.

        Args:
            vectors: (B, D) float32.
            k: how many for each.
            exclude: (B, E) int64, items that are not wanted for that vector, padded with -1.
            filter: (I,) bool, the items that are wanted at all.

        Raises:
            LearnerError: the vectors have another width than the items, or k is not positive.
        """
        if vectors.dim() != 2 or vectors.shape[1] != self.vectors.shape[1] or k < 1:
            raise LearnerError(
                f"search: expected vectors (B, {self.vectors.shape[1]}) and k of 1 or more; found {tuple(vectors.shape)} "
                f"and {k}."
            )
        if self.measure == "cosine":
            vectors = normalize(vectors, dim=1)
        return self._search(vectors, k, exclude, filter)

    @classmethod
    @abstractmethod
    def build(cls, folder: Path, vectors: Floats, stored: StoredIndex) -> Self:
        """Make an index of vectors (I, D), and write its file into the folder.

        Raises:
            IndexFileError: the engine refuses this kind of index, or cannot be reached.
        """

    @classmethod
    @abstractmethod
    def open(cls, folder: Path, vectors: Floats, stored: StoredIndex) -> Self:
        """Open what `build` wrote.

        Raises:
            IndexFileError: it is missing, damaged or of other vectors, or the engine cannot be reached.
        """

    @abstractmethod
    def _search(self, vectors: Tensor, k: int, exclude: Tensor | None, wanted: Tensor | None) -> Found:
        """As `search`; for the cosine the vectors have length 1."""


class ExactIndex(VectorIndex):
    """Compares a vector with every item."""

    def __init__(self, vectors: Floats, measure: Similarity) -> None:
        super().__init__(vectors, measure)
        self.nearest = NearestItems(torch.from_numpy(np.array(vectors)), measure)

    @classmethod
    def build(cls, folder: Path, vectors: Floats, stored: StoredIndex) -> Self:
        """The vectors are the whole index."""
        return cls(vectors, stored.measure)

    open = build

    def _search(self, vectors: Tensor, k: int, exclude: Tensor | None, wanted: Tensor | None) -> Found:
        scores = self.nearest.scores(vectors)
        if wanted is not None:
            scores.masked_fill_(~wanted, -torch.inf)
        if exclude is not None:
            scores = without(scores, exclude)
        items = top_items(scores, min(k, scores.shape[1]))
        return filled(items[:, :k], scores.gather(1, items[:, :k]), k)


class ApproximateIndex(VectorIndex):
    """An engine proposes neighbours, and their scores are computed from the items' vectors.

    So an engine can miss items, but never gives a wrong score or order.
    """

    @abstractmethod
    def neighbours(self, vectors: Floats, count: int) -> NDArray[np.int64]:
        """About the `count` nearest items of each vector, (B, count), in any order; -1 where there are fewer."""

    def _search(self, vectors: Tensor, k: int, exclude: Tensor | None, wanted: Tensor | None) -> Found:
        count = k + (0 if exclude is None else exclude.shape[1])
        if wanted is not None:
            allowed = wanted.nonzero().squeeze(1)
            if len(allowed) == 0:
                empty = vectors.new_zeros(len(vectors), 0)
                return filled(empty.long(), empty, k)
            if len(allowed) <= FEW:
                rows = np.asarray(self.vectors[allowed.numpy()])
                few = ExactIndex(rows, self.measure)._search(vectors, count, None, None)
                return nearest_of(allowed[few.items.clamp_min(0)].where(few.items >= 0, -1), few.scores, k, exclude)
            count = int(SPARE * count * len(wanted) / len(allowed))
        items = torch.from_numpy(self.neighbours(vectors.numpy(), min(count, len(self.vectors))))
        if wanted is not None:
            items = items.where(wanted[items.clamp_min(0)], -1)
        return nearest_of(items, self.scores(vectors, items), k, exclude)

    def scores(self, vectors: Tensor, items: Tensor) -> Tensor:
        """The scores of C items for each vector, (B, D), (B, C) → (B, C), as `NearestItems` computes them."""
        rows = torch.from_numpy(np.asarray(self.vectors[items.clamp_min(0).numpy()]))
        scores = torch.bmm(rows, vectors.unsqueeze(2)).squeeze(2)
        return scores - rows.square().sum(2) / 2 if self.measure == "euclidean" else scores


def nearest_of(items: Tensor, scores: Tensor, k: int, exclude: Tensor | None) -> Found:
    """The k best of proposed items (B, C), -1 where there is none, by their scores (B, C); without excluded ones, (B, E)."""
    gone = items < 0
    if exclude is not None and exclude.shape[1] > 0:
        ordered = exclude.sort(1).values
        place = torch.searchsorted(ordered, items.contiguous()).clamp_max(ordered.shape[1] - 1)
        gone |= ordered.gather(1, place) == items
    best = scores.masked_fill(gone, -torch.inf).topk(min(k, items.shape[1]), dim=1)
    return filled(items.gather(1, best.indices), best.values, k)


def filled(items: Tensor, scores: Tensor, k: int) -> Found:
    """Items and scores (B, n), n ≤ k, as k columns; -1 where a score is -inf."""
    missing = k - items.shape[1]
    items = items.masked_fill(scores == -torch.inf, -1)
    return Found(pad(items, (0, missing), value=-1), pad(scores, (0, missing), value=-torch.inf))
