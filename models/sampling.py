"""Draw the transitions of the next batch."""

from typing import Any

import torch
from torch import Tensor

from models.errors import LearnerError

POOL = 16  # batches that one of like lengths is chosen from


class UniformSampler:
    """Uniform draws, with replacement, from given transition starts; seeded and resumable."""

    def __init__(self, starts: Tensor, batch_size: int, seed: int, lengths: Tensor | None = None) -> None:
        """Prepare to draw.

        Args:
            starts: (T,) int64.
            batch_size: B.
            seed: of the draws.
            lengths: (T,) int64, lengths of the starts' sequences. Each batch is then of like lengths, to pad little: POOL batches
                are drawn, sorted by length, and one of them is returned.

        Raises:
            LearnerError: there are no starts.
        """
        if len(starts) == 0:
            raise LearnerError("sampler: expected transitions to draw from; found none. Check the splits' fractions.")
        self.starts = starts
        self.batch_size = batch_size
        self.lengths = lengths
        self.generator = torch.Generator(starts.device).manual_seed(seed)

    def next(self) -> Tensor:
        """The starts of one batch, (B,) int64, on the device of all starts."""
        if self.lengths is None:
            return self.starts[self._below(len(self.starts), self.batch_size)]
        rows = self._below(len(self.starts), POOL * self.batch_size)
        batches = rows[self.lengths[rows].argsort(stable=True)].view(POOL, self.batch_size)
        return self.starts[batches[self._below(POOL, 1)[0]]]

    def _below(self, most: int, count: int) -> Tensor:
        return torch.randint(most, (count,), generator=self.generator, device=self.starts.device)

    def state_dict(self) -> dict[str, Any]:
        """The state of the random generator."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.generator.set_state(state["generator"].cpu())
