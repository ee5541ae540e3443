"""Scorer of all baselines that are a matrix from rated items to next items."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from models.baselines.recency import Recency
from models.histories import Histories
from models.rows import rows_of_items


@dataclass(frozen=True)
class ItemToItem:
    """Scores an item by the sum, over a history's items, of recency weight times matrix entry; items without a column score 0.

    Legend of shapes:
        weights  (M, M) float32, from the row's item to the column's
        items    (M,) int64, the item index of each row and column
    """

    weights: Tensor
    items: Tensor
    catalogue: int
    recency: Recency

    def scores(self, histories: Histories) -> Tensor:
        """Scores (B, I); Costs M additions per event used."""
        items, weight = self.recency.event_weights(histories, self.catalogue)
        rows = rows_of_items(self.items, self.catalogue)[items.clamp_min(0)]
        scores = torch.zeros((len(items), self.catalogue), device=items.device)
        scores[:, self.items] = sums_of_rows(self.weights, rows, weight * (rows >= 0))
        return scores


def sums_of_rows(matrix: Tensor, rows: Tensor, weight: Tensor) -> Tensor:
    """The weighted sum of a matrix's rows (R, C) for each of B histories; costs C additions per event that counts.

    Args:
        matrix: (R, C) float32.
        rows: (B, L) int64, the row of each event.
        weight: (B, L) float32, its weight; an event of weight 0 does not count, whatever its row.

    Returns: (B, C).
    """
    counts = weight > 0
    offsets = torch.cat((counts.new_zeros(1, dtype=torch.int64), counts.sum(1).cumsum(0)[:-1]))
    return embedding_bag(rows[counts], matrix, offsets, mode="sum", per_sample_weights=weight[counts].to(matrix))
