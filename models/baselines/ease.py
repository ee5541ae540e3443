"""EASE: a linear item-item model with a closed-form solution (Steck 2019)."""

import torch
from pydantic import Field
from torch import Tensor

from models.baselines.entry import BaselineEntry
from models.baselines.item_to_item import ItemToItem
from models.baselines.recency import RECENCY, Recency
from models.baselines.training import TrainingData
from models.errors import LearnerError


class EaseConfig(Recency):
    """Regularisation, and how much of a history counts."""

    regularisation: float = Field(200.0, gt=0, description="λ of the squared weights, in users.")
    min_count: int = Field(5, ge=1, description="Items with fewer training users are left out.")


def fit_ease(config: EaseConfig, data: TrainingData) -> ItemToItem:
    """Fit the weights to the user-item matrix X (Steck 2019, eq. 8). The inverse costs M³.

    Raises:
        LearnerError: no item is frequent enough.
    """
    kept = (data.together.diagonal() >= config.min_count).nonzero().squeeze(1)
    if len(kept) == 0:
        raise LearnerError(
            f"EASE: expected items with {config.min_count} training users or more; found none. Give more ratings."
        )
    weights = ease_weights(data.together[kept][:, kept], config.regularisation)
    return ItemToItem(weights, data.frequent[kept], data.catalogue, config)


def ease_weights(together: Tensor, regularisation: float) -> Tensor:
    """B = I - P / diag(P), P = (XᵀX + λI)⁻¹, of the users that items share, XᵀX (M, M): (M, M), from row to column."""
    gram = together.clone()
    gram.diagonal().add_(regularisation)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    weights: Tensor = -inverse / inverse.diagonal()
    weights.fill_diagonal_(0.0)
    return weights


ENTRY = BaselineEntry(
    "ease",
    EaseConfig,
    fit_ease,
    summary="Linear item-item model with a closed-form solution.",
    paper="Steck 2019, arXiv:1905.03375",
    grid={"regularisation": (200.0, 100.0, 50.0, 500.0)} | RECENCY,
)
