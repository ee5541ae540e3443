"""Item-based nearest neighbours (Sarwar et al. 2001; the n best of each item kept: Deshpande & Karypis 2004)."""

from pydantic import Field

from models.baselines.item_to_item import ItemToItem
from models.baselines.recency import Recency
from models.baselines.training import TrainingData


class ItemKnnConfig(Recency):
    """How alike items are, and how many neighbours speak."""

    neighbours: int = Field(100, ge=1, le=10_000, description="Nearest items kept of each item; as near ones, too.")
    shrink: float = Field(10.0, ge=0, description="Added below the fraction, so that few common users say little.")


def fit_item_knn(config: ItemKnnConfig, data: TrainingData) -> ItemToItem:
    """Cosine of the items' user sets, shrunk: `users of both / (√(users of a · users of b) + shrink)`. M² log M."""
    root = data.together.diagonal().sqrt()
    weights = data.together / (root.outer(root) + config.shrink)
    weights.fill_diagonal_(0.0)
    if config.neighbours < len(weights):
        for rows in weights.split(1024):
            least = rows.topk(config.neighbours, dim=1).values[:, -1:]
            rows[rows < least] = 0.0
    return ItemToItem(weights, data.frequent, data.catalogue, config)
