"""Item-based nearest neighbours (Sarwar et al. 2001; the n best of each item kept: Deshpande & Karypis 2004)."""

from pydantic import Field

from models.baselines.entry import BaselineEntry
from models.baselines.item_to_item import ItemToItem
from models.baselines.recency import RECENCY, Recency
from models.baselines.training import TrainingData


class ItemKnnConfig(Recency):
    """Similarity of items, number of neighbours, and how much of a history counts."""

    neighbours: int = Field(
        100, ge=1, le=10_000, description="Nearest items kept of each item, and those equally near."
    )
    shrink: float = Field(
        10.0, ge=0, description="Added to the denominator, so that pairs with few common users score low."
    )


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


ENTRY = BaselineEntry(
    "item-knn",
    ItemKnnConfig,
    fit_item_knn,
    summary="Cosine of the items' sets of users, shrunk, with the nearest neighbours of each item.",
    paper="Sarwar et al. 2001, Deshpande & Karypis 2004",
    grid={"neighbours": (100, 20, 1000), "shrink": (0.0, 10.0)} | RECENCY,
)
