"""Draw the transitions of the next batch."""

from typing import Any

import torch
from torch import Tensor

from models.errors import LearnerError


class UniformSampler:
    """Uniform draws, with replacement, from given transition starts; seeded and resumable."""

    def __init__(self, starts: Tensor, batch_size: int, seed: int) -> None:
        """Prepare to draw.

        Args:
            starts: (T,) int64.
            batch_size: B.
            seed: of the draws.

        Raises:
            LearnerError: there are no starts.
        """
        if len(starts) == 0:
            raise LearnerError("sampler: expected transitions to draw from; found none. Check the splits' fractions.")
        self.starts = starts
        self.batch_size = batch_size
        self.generator = torch.Generator(starts.device).manual_seed(seed)

    def next(self) -> Tensor:
        """The starts of one batch, (B,) int64, on the device of all starts."""
        rows = torch.randint(len(self.starts), (self.batch_size,), generator=self.generator, device=self.starts.device)
        return self.starts[rows]

    def state_dict(self) -> dict[str, Any]:
        """The state of the random generator."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.generator.set_state(state["generator"].cpu())
