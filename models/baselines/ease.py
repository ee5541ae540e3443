"""EASE: a linear item-item model with a closed-form solution (Steck 2019)."""

import torch
from pydantic import Field

from models.baselines.item_to_item import ItemToItem
from models.baselines.recency import Recency
from models.baselines.training import TrainingData
from models.errors import LearnerError


class EaseConfig(Recency):
    """How strongly the weights are held down, and how much of a history speaks."""

    regularisation: float = Field(200.0, gt=0, description="λ of the squared weights, in users.")
    min_count: int = Field(5, ge=1, description="Items with fewer training users are left out.")


def fit_ease(config: EaseConfig, data: TrainingData) -> ItemToItem:
    """Fit to who had what: B = I - P / diag(P), P = (XᵀX + λI)⁻¹ (Steck 2019, eq. 8). M³ for the inverse.

    Raises:
        LearnerError: no item is frequent enough.
    """
    kept = (data.together.diagonal() >= config.min_count).nonzero().squeeze(1)
    if len(kept) == 0:
        raise LearnerError(
            f"EASE: expected items with {config.min_count} training users or more; found none. Give more ratings."
        )
    gram = data.together[kept][:, kept]
    gram.diagonal().add_(config.regularisation)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    weights = -inverse / inverse.diagonal()
    weights.fill_diagonal_(0.0)
    return ItemToItem(weights, data.frequent[kept], data.catalogue, config)
