"""Implicit-feedback matrix factorisation by alternating least squares (Hu, Koren & Volinsky 2008)."""

from dataclasses import dataclass

import numpy as np
import torch
from implicit.cpu.als import AlternatingLeastSquares
from pydantic import Field
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits
from torch import Tensor

from models.baselines.recency import Recency
from models.baselines.training import TrainingData
from models.histories import Histories

ITEM_BLOCK = 1024  # items whose factors' squares are held at a time


class AlsConfig(Recency):
    """Size and weights of the factorisation, and how much of a history a new user's factors are made from."""

    factors: int = Field(64, ge=1, le=1024, description="Width of a user's and of an item's vector.")
    regularisation: float = Field(10.0, gt=0, description="λ of the squared vectors [2008, eq. 3].")
    confidence: float = Field(10.0, gt=0, description="α: an event counts 1 + α, its absence 1 [2008, section 4].")
    iterations: int = Field(15, ge=1, le=1000, description="Rounds of solving users, then items.")


@dataclass(frozen=True)
class Als:
    """Scores items by the factors that a history gives its user, the items' factors (I, f) being fixed."""

    factors: Tensor
    regularisation: float
    confidence: float
    recency: Recency

    def scores(self, histories: Histories) -> Tensor:
        """`yᵢ · x` with x = (YᵀY + λI + Yᵀ(C - I)Y)⁻¹ YᵀC p [2008, eq. 4]: (B, I).

        A faded event counts 1 + α · weight. f² multiplications per history and item that any history of the batch
        holds, and f³ per history.
        """
        weights = self.recency.weights(histories, len(self.factors))
        width = self.factors.shape[1]
        alike = self.factors.T @ self.factors + self.regularisation * torch.eye(width, device=self.factors.device)
        left, right = alike.flatten().repeat(len(weights), 1), alike.new_zeros((len(weights), width))
        for items in weights.any(0).nonzero().squeeze(1).split(ITEM_BLOCK):
            own, extra = self.factors[items], self.confidence * weights[:, items]
            left += extra @ (own.unsqueeze(2) * own.unsqueeze(1)).flatten(1)
            right += (extra + (extra > 0)) @ own
        users: Tensor = torch.linalg.solve(left.reshape(-1, width, width), right)
        return users @ self.factors.T


def fit_als(config: AlsConfig, data: TrainingData) -> Als:
    """Factor who had what by `implicit`, whose result depends neither on threads nor on the run; items nobody had are 0.

    Each iteration: events × factors, and items + users times factors².
    """
    _, user = torch.unique_consecutive(data.users, return_inverse=True)
    had = csr_matrix(
        (np.ones(len(user), dtype=np.float32), (user.cpu().numpy(), data.items.cpu().numpy())),
        shape=(int(user[-1]) + 1, data.catalogue),
    )
    had.sum_duplicates()
    had.data[:] = 1 + config.confidence
    with threadpool_limits(1, "blas"):  # as the library asks: it spreads the work over threads itself
        model = AlternatingLeastSquares(
            factors=config.factors,
            regularization=config.regularisation,
            alpha=1.0,  # confidences are in the matrix: the library's own α leaves out the 1
            iterations=config.iterations,
            random_state=0,
        )
        model.fit(had, show_progress=False)
    factors = torch.from_numpy(model.item_factors).to(data.items.device)
    factors[data.counts == 0] = 0.0
    return Als(factors, config.regularisation, config.confidence, config)
