"""What follows what, in closed form: the item-to-item kernel a ranking policy starts from."""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.baselines.training import TrainingData, most_frequent
from models.errors import LearnerError
from models.rows import rows_of_items


class KernelConfig(BaseModel):
    """How the transition kernel is fit; sources in brackets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_count: int = Field(
        3, ge=1, description="Items with fewer training events have no row: content speaks for them."
    )
    max_items: int = Field(8000, ge=10, le=50_000, description="M at most: the cost is M² numbers and M³ operations.")
    window: int = Field(20, ge=1, le=200, description="Events that count as near [Choi et al. 2021].")
    fade: float = Field(0.78, gt=0, lt=1, description="Worth of an event over that of one event nearer [2021, eq. 12].")
    ridge: float = Field(100.0, gt=0, description="λ of the squared entries [2021, eq. 10].")
    backward: float = Field(
        0.3, ge=0, le=1, description="How much what came before an item counts as what comes after it."
    )
    popularity_power: float = Field(0.15, ge=0, le=1, description="Columns are divided by (count + 10) to it.")


def kernel_items(data: TrainingData, config: KernelConfig) -> Tensor:
    """The items that have a row, ascending: (M,) int64.

    Raises:
        LearnerError: there are none.
    """
    kept = most_frequent(data.counts, config.max_items, config.min_count)
    if len(kept) == 0:
        raise LearnerError(
            f"kernels: expected items with {config.min_count} training events or more; found none. Give more ratings."
        )
    return kept


def transition_kernel(data: TrainingData, items: Tensor, config: KernelConfig) -> Tensor:
    """Ridge regression of the next item on the faded last ones: (M, M) float32, row before column, root mean square 1.

    K = (XᵀX + λI)⁻¹ (XᵀY + β YᵀX), with a row of X for every event: the items before it, each worth fade^(age - 1), and a
    row of Y: the item itself (Choi et al. 2021, SLIT, eq. 9-10). β, our addition, lets an order speak for its reverse. Both
    products are sums over lags of counts of pairs, so the cost is `window` passes over the events; a history's end is
    counted as if it went on. M³ operations to solve.
    """
    size, fade = len(items), config.fade
    event = rows_of_items(items, data.catalogue)[data.items]
    gram = torch.diag(torch.bincount(event[event >= 0], minlength=size).float())
    gram *= (1 - fade ** (2 * config.window)) / (1 - fade**2)
    after = torch.zeros((size, size), device=items.device)
    for lag in range(1, config.window + 1):
        first, then = event[:-lag], event[lag:]
        pair = (data.users[:-lag] == data.users[lag:]) & (first >= 0) & (then >= 0)
        cells = torch.bincount(first[pair] * size + then[pair], minlength=size * size).reshape(size, size).float()
        after += fade ** (lag - 1) * cells
        shared = fade**lag * (1 - fade ** (2 * (config.window - lag))) / (1 - fade**2)
        gram += shared * (cells + cells.T)
    gram.diagonal().add_(config.ridge)
    # The pairs of a finite window need not make a positive definite matrix, so no Cholesky factor here.
    kernel: Tensor = torch.linalg.solve(gram, after + config.backward * after.T)
    kernel /= (data.counts[items] + 10.0) ** config.popularity_power
    kernel /= kernel.square().mean().sqrt().clamp_min(1e-12)
    return kernel
