"""What the baselines that are trained in batches share: passes, batches, learning rate, seed."""

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from models.baselines.recency import Recency

Epochs = Annotated[int, Field(ge=1, le=10_000, description="Passes over the training data.")]
BatchSize = Annotated[
    int, Field(ge=1, le=1_000_000, description="Training events per update; of the RBM, training users.")
]
LearningRate = Annotated[float, Field(gt=0, le=10, description="Of the updates.")]


class Descent(Recency):
    """Training in batches; a baseline gives `epochs`, `batch` and `learning_rate` defaults of its own."""

    epochs: Epochs
    batch: BatchSize
    learning_rate: LearningRate
    seed: int = Field(0, ge=0, description="Seed of the first weights, the order of the data and all draws.")

    def batches(self, rows: int, generator: torch.Generator, device: torch.device) -> Iterator[Tensor]:
        """The rows of every batch of every epoch, (B,) int64, in an order that is drawn for each epoch."""
        for _ in range(self.epochs):
            yield from torch.randperm(rows, generator=generator).to(device).split(self.batch)
