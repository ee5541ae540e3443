"""The kernels of a ranking policy, fit in closed form: which item follows which, and which items the same users rate."""

from dataclasses import replace

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.baselines.ease import ease_weights
from models.baselines.training import TrainingData, most_frequent, rows_of_items
from models.errors import LearnerError


class KernelConfig(BaseModel):
    """How the kernels are fit; sources in brackets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_count: int = Field(
        3, ge=1, description="Items with fewer training events have no row; they are scored by content."
    )
    max_items: int = Field(
        8000, ge=10, le=50_000, description="Upper bound of M; the cost is M² numbers and M³ operations."
    )
    window: int = Field(20, ge=1, le=200, description="Events that count as near [Choi et al. 2021].")
    decay: float = Field(
        0.78, gt=0, lt=1, description="Weight of an event relative to that of the next nearer one [2021, eq. 12]."
    )
    ridge: float = Field(100.0, gt=0, description="λ of the transitions' squared entries [2021, eq. 10].")
    backward: float = Field(0.3, ge=0, le=1, description="β, the weight of a pair of items in reversed order.")
    popularity_power: float = Field(0.15, ge=0, le=1, description="p: columns are divided by (count + 10)^p.")
    association_ridge: float = Field(200.0, gt=0, description="λ of the associations, in users [Steck 2019, eq. 8].")


def kernel_items(data: TrainingData, config: KernelConfig) -> Tensor:
    """The items that have a row, ascending: (M,) int64.

    Raises:
        LearnerError: no item has enough training events.
    """
    kept = most_frequent(data.counts, config.max_items, config.min_count)
    if len(kept) == 0:
        raise LearnerError(
            f"kernels: expected items with {config.min_count} training events or more; found none. Give more ratings."
        )
    return kept


def transition_kernel(data: TrainingData, items: Tensor, config: KernelConfig) -> Tensor:
    """Ridge regression of the next item on the decayed previous ones: (M, M) float32, from row to column, root mean square 1.

    K = (XᵀX + λI)⁻¹ (XᵀY + β YᵀX), with one row of X and Y per event: X holds the items before it, each weighted by
    decay^(age - 1), and Y the item itself (Choi et al. 2021, SLIT, eq. 9-10). β, our addition, also counts a pair in reversed
    order. Both products are sums over lags of pair counts, so the cost is `window` passes over the events, and M³ operations
    to solve. A history's end is treated as if the history went on.
    """
    size, decay = len(items), config.decay
    event = rows_of_items(items, data.catalogue)[data.items]
    gram = torch.diag(torch.bincount(event[event >= 0], minlength=size).float())
    gram *= (1 - decay ** (2 * config.window)) / (1 - decay**2)
    after = torch.zeros((size, size), device=items.device)
    for lag in range(1, config.window + 1):
        first, then = event[:-lag], event[lag:]
        pair = (data.users[:-lag] == data.users[lag:]) & (first >= 0) & (then >= 0)
        cells = torch.bincount(first[pair] * size + then[pair], minlength=size * size).reshape(size, size).float()
        after += decay ** (lag - 1) * cells
        shared = decay**lag * (1 - decay ** (2 * (config.window - lag))) / (1 - decay**2)
        gram += shared * (cells + cells.T)
    gram.diagonal().add_(config.ridge)
    # A finite window need not give a positive definite matrix, hence no Cholesky factor.
    kernel: Tensor = torch.linalg.solve(gram, after + config.backward * after.T)
    kernel /= (data.counts[items] + 10.0) ** config.popularity_power
    kernel /= kernel.square().mean().sqrt().clamp_min(1e-12)
    return kernel


def association_kernel(data: TrainingData, items: Tensor, config: KernelConfig) -> Tensor:
    """EASE's weights between items (M,), in any order of events: (M, M) float32, from row to column, root mean square 1."""
    of_items = replace(data, max_items=config.max_items)  # the most frequent ones, `items` among them
    rows = of_items.column[items]
    kernel = ease_weights(of_items.together[rows][:, rows], config.association_ridge)
    kernel /= kernel.square().mean().sqrt().clamp_min(1e-12)
    return kernel
