"""Recency: how much of a history a baseline uses."""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.baselines.entry import Grid
from models.histories import Histories

# Recency is tuned first, at the first value of every other axis; so the first values are the usual ones.
RECENCY: Grid = {"last": (10, 5, 20, 50, None), "decay": (1.0, 0.9, 0.7, 0.5)}


class Recency(BaseModel):
    """Hyper-parameters that weight a history's events; no fit depends on them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    last: int | None = Field(10, ge=1, le=100_000, description="Number of latest events used; none: the whole history.")
    decay: float = Field(1.0, gt=0, le=1, description="An event's weight relative to that of the next later one.")

    def event_weights(self, histories: Histories, catalogue: int) -> tuple[Tensor, Tensor]:
        """Weight the events that are used.

        Returns:
            items (B, L) int64, padded with -1, and weights (B, L) float32, `decay ** age`. Of an item rated twice only the
            latest event counts; earlier ones and padding have weight 0.
        """
        items = (histories if self.last is None else histories.last(self.last)).items
        place = torch.arange(items.shape[1], device=items.device)
        known = items.where(items >= 0, catalogue)
        latest = torch.zeros((len(items), catalogue + 1), dtype=torch.int32, device=items.device)
        latest.scatter_reduce_(1, known, place.int().expand(items.shape), "amax")
        counts = (items >= 0) & (latest.gather(1, known) == place)
        return items, (self.decay ** (len(place) - 1 - place)).float() * counts

    def weights(self, histories: Histories, catalogue: int) -> Tensor:
        """Each history's weight of each of the I items: (B, I) float32; 0 for items not in it."""
        items, weight = self.event_weights(histories, catalogue)
        weights = torch.zeros((len(items), catalogue + 1), device=items.device)
        weights.scatter_(1, items.where(weight > 0, catalogue), weight)
        return weights[:, :catalogue]
