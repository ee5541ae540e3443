"""Similarity search, shared by the content and collaborative baselines."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import normalize

from models.baselines.recency import Recency
from models.histories import Histories


@dataclass(frozen=True)
class SimilaritySearch:
    """Scores an item by the cosine of its vector to the weighted mean of a history's; vectors (I, D) have length 1 or 0."""

    vectors: Tensor
    recency: Recency

    def scores(self, histories: Histories) -> Tensor:
        """Cosines (B, I); D multiplications per item and history. An item without a vector scores 0."""
        mean = self.recency.weights(histories, len(self.vectors)) @ self.vectors
        return normalize(mean, dim=1) @ self.vectors.T
