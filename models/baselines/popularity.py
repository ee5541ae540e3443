"""Recommend what most people rated."""

from dataclasses import dataclass
from math import ceil

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.baselines.training import TrainingData
from models.histories import Histories


class PopularityConfig(BaseModel):
    """Which training events are counted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(1.0, gt=0, le=1, description="The latest such share of all training events; 1: all of them.")


class RecentPopularityConfig(PopularityConfig):
    """The same for what is popular of late; a share of its own, as users of all times cannot tell which is best later."""

    share: float = Field(0.1, gt=0, le=1, description="The latest such share of all training events.")


@dataclass(frozen=True)
class Popularity:
    """Scores every item by its count (I,), whoever asks."""

    counts: Tensor

    def scores(self, histories: Histories) -> Tensor:
        """The counts, once for each history: (B, I)."""
        return self.counts.expand(len(histories.items), -1)


def fit_popularity(config: PopularityConfig, data: TrainingData) -> Popularity:
    """Count each item's latest training events; among equal times the later users' are the later. N log N."""
    latest = torch.argsort(data.times, stable=True)[-ceil(config.share * len(data.times)) :]
    return Popularity(torch.bincount(data.items[latest], minlength=data.catalogue).float())
