"""Content similarity: the items whose embeddings are similar to those of the last items."""

from torch.nn.functional import normalize

from models.baselines.entry import BaselineEntry
from models.baselines.recency import RECENCY, Recency
from models.baselines.similarity import SimilaritySearch
from models.baselines.training import TrainingData


class ContentConfig(Recency):
    """How much of a history counts; there is nothing to fit."""


def fit_content(config: ContentConfig, data: TrainingData) -> SimilaritySearch:
    """Take the items' embeddings, including those of items without training events."""
    return SimilaritySearch(normalize(data.embedding, dim=1), config)


ENTRY = BaselineEntry(
    "content similarity",
    ContentConfig,
    fit_content,
    summary="Cosine of an item's embedding to the mean embedding of a history; also scores cold items.",
    grid=RECENCY,
)
