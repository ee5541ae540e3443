"""A first-order Markov chain of items, not factored (Rendle et al. 2010)."""

import torch
from pydantic import Field

from models.baselines.entry import BaselineEntry
from models.baselines.item_to_item import ItemToItem
from models.baselines.recency import RECENCY, Recency
from models.baselines.training import TrainingData


class MarkovConfig(Recency):
    """How transitions are counted, and how much of a history counts."""

    window: int = Field(5, ge=1, le=100, description="Item b follows a if it comes at most this many events later.")
    pair_decay: float = Field(
        0.8, gt=0, le=1, description="Weight of a pair of events relative to that of a pair one event nearer."
    )
    shrink: float = Field(
        10.0, ge=0, description="Added to the number of an item's followers, so that rare items score low."
    )


def fit_markov(config: MarkovConfig, data: TrainingData) -> ItemToItem:
    """Count followers and normalise: `W[a, b] = C[a, b] / (Σ_b C[a, b] + shrink)`.

    Costs N × window additions and M² numbers.
    """
    size = len(data.frequent)
    column = data.column[data.items]
    counts = torch.zeros(size * size, device=column.device)
    for lag in range(1, config.window + 1):
        first, then = column[:-lag], column[lag:]
        pair = (data.users[:-lag] == data.users[lag:]) & (first >= 0) & (then >= 0) & (first != then)
        cells = first[pair] * size + then[pair]
        counts.index_add_(0, cells, torch.full((len(cells),), config.pair_decay ** (lag - 1), device=cells.device))
    weights = counts.reshape(size, size)
    weights /= (weights.sum(1, keepdim=True) + config.shrink).clamp_min(torch.finfo(weights.dtype).tiny)
    return ItemToItem(weights, data.frequent, data.catalogue, config)


ENTRY = BaselineEntry(
    "markov",
    MarkovConfig,
    fit_markov,
    summary="How often an item came within a window after the latest items, divided by the number of all items that came there.",
    paper="Rendle et al. 2010, without factorisation",
    grid={"window": (10, 5, 20), "pair_decay": (0.8, 0.6, 1.0), "shrink": (100.0, 30.0, 300.0)} | RECENCY,
)
