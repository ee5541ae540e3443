"""How much of a history a baseline looks at."""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.histories import Histories


class Recency(BaseModel):
    """The part of a hyper-parameter set that says which items of a history count, and how much; no fit depends on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    last: int | None = Field(10, ge=1, le=100_000, description="So many latest events count; none: the whole history.")
    decay: float = Field(1.0, gt=0, le=1, description="An event's weight over that of the next younger one.")

    def worth(self, histories: Histories, catalogue: int) -> tuple[Tensor, Tensor]:
        """The events that may count, items (B, L) int64, -1 for none, and their weights (B, L) float32, `decay ** age`.

        Of an item had twice the latest event counts, the others weigh 0, as where there is no event.
        """
        items = (histories if self.last is None else histories.last(self.last)).items
        place = torch.arange(items.shape[1], device=items.device)
        known = items.where(items >= 0, catalogue)
        latest = torch.zeros((len(items), catalogue + 1), dtype=torch.int32, device=items.device)
        latest.scatter_reduce_(1, known, place.int().expand(items.shape), "amax")
        counts = (items >= 0) & (latest.gather(1, known) == place)
        return items, (self.decay ** (len(place) - 1 - place)).float() * counts

    def weights(self, histories: Histories, catalogue: int) -> Tensor:
        """Each history's weight of each of the I items: (B, I) float32; 0 for what it does not hold."""
        items, worth = self.worth(histories, catalogue)
        weights = torch.zeros((len(items), catalogue + 1), device=items.device)
        weights.scatter_(1, items.where(worth > 0, catalogue), worth)
        return weights[:, :catalogue]
