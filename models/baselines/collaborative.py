"""Collaborative similarity: the items whose factors of the user-item matrix are similar to those of the last items."""

import numpy as np
import torch
from pydantic import Field
from torch.nn.functional import normalize

from models.baselines.entry import BaselineEntry
from models.baselines.recency import RECENCY, Recency
from models.baselines.similarity import SimilaritySearch
from models.baselines.training import TrainingData
from models.encoders.blocks.collaborative import item_factors
from models.errors import LearnerError


class CollaborativeConfig(Recency):
    """Number of factors, and how much of a history counts."""

    factors: int = Field(64, ge=1, le=1024, description="Singular vectors kept of the normalised user-item matrix.")


def fit_collaborative(config: CollaborativeConfig, data: TrainingData) -> SimilaritySearch:
    """Factor the user-item matrix (see `item_factors`); items without training events get no vector.

    A few passes over the events, each N × factors.

    Raises:
        LearnerError: all users rated the same items, so that there are no factors.
    """
    seen = data.counts.nonzero().squeeze(1)
    place = torch.zeros(data.catalogue, dtype=torch.int64)
    place[seen.cpu()] = torch.arange(len(seen))
    _, user = torch.unique_consecutive(data.users, return_inverse=True)
    factors = item_factors(
        user.cpu().numpy().astype(np.int32),
        place[data.items.cpu()].numpy().astype(np.int32),
        data.counts[seen].cpu().numpy(),
        config.factors,
    )
    if factors.shape[1] == 0:
        raise LearnerError(
            f"collaborative vectors: expected training users who rated different items; "
            f"found {len(seen)} items and {int(user[-1]) + 1} users. Give more ratings."
        )
    vectors = torch.zeros((data.catalogue, factors.shape[1]), device=data.items.device)
    vectors[seen] = normalize(torch.from_numpy(factors).to(data.items.device), dim=1)
    return SimilaritySearch(vectors, config)


ENTRY = BaselineEntry(
    "collaborative similarity",
    CollaborativeConfig,
    fit_collaborative,
    summary="Cosine of an item's singular vector of the normalised user-item matrix to the mean of a history's.",
    paper="Paterek 2007",
    grid={"factors": (128, 64, 256, 512)} | RECENCY,
)
