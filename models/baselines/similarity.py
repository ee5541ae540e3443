"""Similarity search: the items whose vectors point where those of the last items do."""

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from models.baselines.recency import Recency
from models.baselines.training import TrainingData
from models.encoders.blocks.collaborative import item_factors
from models.errors import LearnerError
from models.histories import Histories


class ContentConfig(Recency):
    """Search by the items' content vectors: nothing to fit, only how much of a history counts."""


class CollaborativeConfig(Recency):
    """Search by factors of who had what."""

    factors: int = Field(64, ge=1, le=1024, description="Singular vectors kept of the normalised user-item matrix.")


@dataclass(frozen=True)
class SimilaritySearch:
    """Scores an item by the cosine of its vector and the weighted mean of a history's; vectors (I, D) have length 1 or 0."""

    vectors: Tensor
    recency: Recency

    def scores(self, histories: Histories) -> Tensor:
        """Cosines (B, I); D multiplications per item and history. An item without a vector has 0."""
        mean = self.recency.weights(histories, len(self.vectors)) @ self.vectors
        return normalize(mean, dim=1) @ self.vectors.T


def fit_content(config: ContentConfig, data: TrainingData) -> SimilaritySearch:
    """Take the items' own vectors, those without training events included."""
    return SimilaritySearch(normalize(data.embedding, dim=1), config)


def fit_collaborative(config: CollaborativeConfig, data: TrainingData) -> SimilaritySearch:
    """Factor who had what, truncated (see `item_factors`); items without training events have no vector.

    A few passes over the events, each N × factors.

    Raises:
        LearnerError: users differ in nothing, so that there are no factors.
    """
    seen = data.counts.nonzero().squeeze(1)
    place = torch.zeros(data.catalogue, dtype=torch.int64)
    place[seen.cpu()] = torch.arange(len(seen))
    _, user = torch.unique_consecutive(data.users, return_inverse=True)
    factors = item_factors(
        user.cpu().numpy().astype(np.int32),
        place[data.items.cpu()].numpy().astype(np.int32),
        data.counts[seen].cpu().numpy(),
        config.factors,
    )
    if factors.shape[1] == 0:
        raise LearnerError(
            f"collaborative vectors: expected training users who differ in what they rated; "
            f"found {len(seen)} items and {int(user[-1]) + 1} users. Give more ratings."
        )
    vectors = torch.zeros((data.catalogue, factors.shape[1]), device=data.items.device)
    vectors[seen] = normalize(torch.from_numpy(factors).to(data.items.device), dim=1)
    return SimilaritySearch(vectors, config)
