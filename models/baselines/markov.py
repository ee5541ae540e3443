"""A Markov chain of the last items: what was rated soon after what (first order, as in Rendle et al. 2010, unfactored)."""

import torch
from pydantic import Field

from models.baselines.item_to_item import ItemToItem
from models.baselines.recency import Recency
from models.baselines.training import TrainingData


class MarkovConfig(Recency):
    """How transitions are counted, and how many last items speak."""

    window: int = Field(5, ge=1, le=100, description="Item b follows a when it comes at most so many events later.")
    fade: float = Field(0.8, gt=0, le=1, description="Worth of a pair over that of a pair one event nearer.")
    shrink: float = Field(10.0, ge=0, description="Added to an item's followers, so that rare items claim little.")


def fit_markov(config: MarkovConfig, data: TrainingData) -> ItemToItem:
    """Count who follows whom, and divide by all that follows: `W[a, b] = C[a, b] / (Σ_b C[a, b] + shrink)`.

    N × window additions; M² numbers.
    """
    size = len(data.frequent)
    column = data.column[data.items]
    counts = torch.zeros(size * size, device=column.device)
    for lag in range(1, config.window + 1):
        first, then = column[:-lag], column[lag:]
        pair = (data.users[:-lag] == data.users[lag:]) & (first >= 0) & (then >= 0) & (first != then)
        cells = first[pair] * size + then[pair]
        counts.index_add_(0, cells, torch.full((len(cells),), config.fade ** (lag - 1), device=cells.device))
    weights = counts.reshape(size, size)
    weights /= (weights.sum(1, keepdim=True) + config.shrink).clamp_min(torch.finfo(weights.dtype).tiny)
    return ItemToItem(weights, data.frequent, data.catalogue, config)
