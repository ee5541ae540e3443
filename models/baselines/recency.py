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

    def weights(self, histories: Histories, catalogue: int) -> Tensor:
        """Each history's weight of each of the I items: (B, I) float32, `decay ** age`; 0 for what it does not hold.

        Of an item had twice the latest event counts.
        """
        items = (histories if self.last is None else histories.last(self.last)).items
        age = torch.arange(items.shape[1] - 1, -1, -1, device=items.device)
        worth = (self.decay**age).float().expand(items.shape)
        weights = torch.zeros((len(items), catalogue + 1), device=items.device)
        weights.scatter_reduce_(1, items.where(items >= 0, catalogue), worth, "amax")
        return weights[:, :catalogue]
