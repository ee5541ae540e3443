"""The face of every model that is one matrix from items had to items next."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.baselines.recency import Recency
from models.histories import Histories


@dataclass(frozen=True)
class ItemToItem:
    """Scores an item by the sum, over a history's items, of recency weight times matrix entry; others score 0.

    Legend of shapes:
        weights  (M, M) float32, from the row's item to the column's
        items    (M,) int64, the item index of each row and column
    """

    weights: Tensor
    items: Tensor
    catalogue: int
    recency: Recency

    def scores(self, histories: Histories) -> Tensor:
        """Scores (B, I); M multiplications per history and item that any history of the batch holds."""
        had = self.recency.weights(histories, self.catalogue)[:, self.items]
        used = had.any(0).nonzero().squeeze(1)
        scores = torch.zeros((len(had), self.catalogue), device=had.device)
        scores[:, self.items] = had[:, used] @ self.weights[used]
        return scores
