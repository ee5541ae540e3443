"""EASE: a linear item-item model with a closed-form solution (Steck 2019)."""

import torch
from torch import Tensor

from models.errors import LearnerError
from models.histories import Histories


class Ease:
    """Scores all items from the set of latest items a user had; items too rare to learn score 0."""

    def __init__(self, weights: Tensor, items: Tensor, catalogue: int, last: int) -> None:
        self.weights = weights  # (M, M), of the M items that were frequent enough
        self.items = items  # (M,) their item indices
        self.catalogue = catalogue
        self.last = last

    def scores(self, histories: Histories) -> Tensor:
        """Scores (B, I) from the latest `last` items of each history."""
        had = histories.last(self.last).items
        present = torch.zeros((len(had), self.catalogue + 1), dtype=self.weights.dtype, device=had.device)
        present.scatter_(1, had.where(had >= 0, self.catalogue), 1.0)
        scores = torch.zeros_like(present)
        scores[:, self.items] = present[:, self.items] @ self.weights
        return scores[:, : self.catalogue]


def fit_ease(
    users: Tensor,
    items: Tensor,
    catalogue: int,
    last: int,
    regularisation: float = 200.0,
    min_count: int = 5,
    max_items: int = 8000,
) -> Ease:
    """Fit to who had what: B = I - P / diag(P), P = (XᵀX + λI)⁻¹ (Steck 2019, eq. 8).

    Args:
        users: (N,) int64, the user of each training event.
        items: (N,) int64, its item.
        catalogue: I.
        last: how many of a user's latest items it will score by.
        regularisation: λ.
        min_count: rarer items are left out.
        max_items: the most frequent so many are kept, since the cost is cubic in them.

    Raises:
        LearnerError: no item is frequent enough.
    """
    counts = torch.bincount(items, minlength=catalogue)
    frequent = torch.argsort(counts, descending=True, stable=True)[:max_items]
    frequent = frequent[counts[frequent] >= min_count].sort().values
    if len(frequent) == 0:
        raise LearnerError(
            f"EASE: expected items with {min_count} training events or more; found none. Give more ratings."
        )
    column = torch.full((catalogue,), -1)
    column[frequent] = torch.arange(len(frequent))
    kept = column[items] >= 0
    _, row = torch.unique(users[kept], return_inverse=True)
    place = torch.stack((row, column[items[kept]]))
    had = torch.sparse_coo_tensor(place, torch.ones(place.shape[1]), (int(row.max()) + 1, len(frequent))).coalesce()
    had = torch.sparse_coo_tensor(had.indices(), torch.ones_like(had.values()), had.shape)
    gram = torch.sparse.mm(had.t(), had.to_dense())
    gram.diagonal().add_(regularisation)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    weights = -inverse / inverse.diagonal()
    weights.fill_diagonal_(0.0)
    return Ease(weights, frequent, catalogue, last)
