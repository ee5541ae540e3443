"""Popularity: recommend the items with the most training events."""

from dataclasses import dataclass
from math import ceil

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.baselines.entry import BaselineEntry
from models.baselines.training import TrainingData
from models.histories import Histories


class PopularityConfig(BaseModel):
    """The training events that are counted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(1.0, gt=0, le=1, description="Fraction of the training events counted, the latest; 1: all.")


@dataclass(frozen=True)
class Popularity:
    """Scores every item by its count (I,), the same for all users."""

    counts: Tensor

    def scores(self, histories: Histories) -> Tensor:
        """The counts, once per history: (B, I)."""
        return self.counts.expand(len(histories.items), -1)


def fit_popularity(config: PopularityConfig, data: TrainingData) -> Popularity:
    """Count each item's latest training events; of equal times, later users' events are later. Costs N log N."""
    latest = torch.argsort(data.times, stable=True)[-ceil(config.share * len(data.times)) :]
    return Popularity(torch.bincount(data.items[latest], minlength=data.catalogue).float())


ENTRY = BaselineEntry("popularity", PopularityConfig, fit_popularity, summary="Counts each item's training events.")
