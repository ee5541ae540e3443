"""Scorer of all baselines that are a matrix from rated items to next items."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from models.baselines.recency import Recency
from models.baselines.training import rows_of_items
from models.histories import Histories


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
        """Scores (B, I)."""
        return self.spread(self.sums(histories))

    def sums(self, histories: Histories) -> Tensor:
        """The scores of the items with a column: (B, M). Costs M additions per event used."""
        items, weight = self.recency.event_weights(histories, self.catalogue)
        rows = rows_of_items(self.items, self.catalogue)[items.clamp_min(0)]
        return sums_of_rows(self.weights, rows, weight * (rows >= 0))

    def spread(self, sums: Tensor) -> Tensor:
        """Scores (B, I) from those of the items with a column, (B, M)."""
        scores = torch.zeros((len(sums), self.catalogue), device=sums.device)
        return scores.scatter_(1, self.items.expand(len(sums), -1), sums)


def sums_of_rows(matrix: Tensor, rows: Tensor, weight: Tensor) -> Tensor:
    """The weighted sum of a matrix's rows (R, C) for each of B histories; costs C additions per event that counts.

    Args:
        matrix: (R, C) float32, or float16 as a stored policy has it.
        rows: (B, L) int64, the row of each event.
        weight: (B, L) float32, its weight; an event of weight 0 does not count, whatever its row.

    Returns: (B, C).
    """
    counts = weight > 0
    if matrix.dtype == torch.float16:
        # Only the rows of one history at a time become float32, because the whole matrix would take 4 R C bytes.
        parts = zip(rows, weight, counts, strict=True)
        return torch.stack([one[used] @ matrix.index_select(0, row[used]).float() for row, one, used in parts])
    offsets = torch.cat((counts.new_zeros(1, dtype=torch.int64), counts.sum(1).cumsum(0)[:-1]))
    return embedding_bag(rows[counts], matrix, offsets, mode="sum", per_sample_weights=weight[counts].to(matrix))
