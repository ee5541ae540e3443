"""Implicit-feedback matrix factorisation by alternating least squares (Hu, Koren & Volinsky 2008)."""

from dataclasses import dataclass

import numpy as np
import torch
from implicit.cpu.als import AlternatingLeastSquares
from pydantic import Field
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits
from torch import Tensor

from models.baselines.entry import BaselineEntry
from models.baselines.recency import RECENCY, Recency
from models.baselines.training import TrainingData
from models.histories import Histories

ITEM_BLOCK = 1024  # items whose squared factors are in memory at a time


class AlsConfig(Recency):
    """Size and weights of the factorisation, and how much of a history counts."""

    factors: int = Field(64, ge=1, le=1024, description="Width of a user's and of an item's vector.")
    regularisation: float = Field(10.0, gt=0, description="λ of the squared vectors [2008, eq. 3].")
    confidence: float = Field(10.0, gt=0, description="α: an event counts 1 + α, its absence 1 [2008, section 4].")
    iterations: int = Field(15, ge=1, le=1000, description="Rounds of solving users, then items.")


@dataclass(frozen=True)
class Als:
    """Scores items by user factors that are solved for from a history, given the items' factors (I, f)."""

    factors: Tensor
    regularisation: float
    confidence: float
    recency: Recency

    def scores(self, histories: Histories) -> Tensor:
        """`yᵢ · x` with x = (YᵀY + λI + Yᵀ(C - I)Y)⁻¹ YᵀC p [2008, eq. 4]: (B, I).

        A decayed event counts 1 + α · weight. Costs f² multiplications per history and item of the batch, and f³ per
        history.
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
    """Factor the user-item matrix by `implicit`, whose result is deterministic; items without training events get zeros.

    Each iteration costs events × factors, plus (items + users) × factors².
    """
    _, user = torch.unique_consecutive(data.users, return_inverse=True)
    had = csr_matrix(
        (np.ones(len(user), dtype=np.float32), (user.cpu().numpy(), data.items.cpu().numpy())),
        shape=(int(user[-1]) + 1, data.catalogue),
    )
    had.sum_duplicates()
    had.data[:] = 1 + config.confidence
    with threadpool_limits(1, "blas"):  # as the library asks: it uses threads itself
        model = AlternatingLeastSquares(
            factors=config.factors,
            regularization=config.regularisation,
            alpha=1.0,  # the matrix holds the confidences: the library's own α leaves out the 1
            iterations=config.iterations,
            random_state=0,
        )
        model.fit(had, show_progress=False)
    factors = torch.from_numpy(model.item_factors).to(data.items.device)
    factors[data.counts == 0] = 0.0
    return Als(factors, config.regularisation, config.confidence, config)


ENTRY = BaselineEntry(
    "als",
    AlsConfig,
    fit_als,
    summary="Matrix factorisation of implicit feedback; a history's user factors are solved for.",
    paper="Hu, Koren & Volinsky 2008",
    grid={"factors": (64, 128), "regularisation": (10.0, 3.0), "confidence": (10.0, 3.0)} | RECENCY,
)
