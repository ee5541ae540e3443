"""Checks of training batches."""

import torch

from models.batch import Batch, Sequences
from models.errors import LearnerError
from models.space import Space

TOLERANCE = 1e-3  # for float32 rewards at the bounds
READ_EVERY = 100  # batches per read on a GPU, where a read waits for all queued work


class BatchCheck:
    """Refuses batches with NaN, infinity or rewards outside the bounds.

    On the CPU a bad batch is refused before it reaches the weights. On a GPU, reading the result in every update would make
    the host wait, so results are collected there and read at every 100th batch and by `settle`. `settle` is called before
    any loss, checkpoint or policy is returned: a bad batch may affect up to 100 updates, but never a result.
    """

    def __init__(
        self, space: Space, device: torch.device, every: int | None = None, kind: type[Batch] | type[Sequences] = Batch
    ) -> None:
        self.lowest, self.highest = space.lowest_reward - TOLERANCE, space.highest_reward + TOLERANCE
        self.every = every or (1 if device.type == "cpu" else READ_EVERY)
        self.unread = 0
        self.members = Batch._fields[:5] if kind is Batch else ("rewards", "terminal")  # items are whole numbers
        self.bad = torch.zeros(len(self.members) + 1, dtype=torch.bool, device=device)

    def __call__(self, batch: Batch | Sequences) -> None:
        """Check a batch; NaN and infinity show in one sum per tensor.

        Raises:
            LearnerError: this batch, or one since the last read, is bad; names the tensors.
        """
        least, greatest = torch.aminmax(batch.reward if isinstance(batch, Batch) else batch.rewards)
        outside = ((least < self.lowest) | (greatest > self.highest)).unsqueeze(0)
        self.bad |= torch.cat(
            (~torch.isfinite(torch.stack([getattr(batch, name).sum() for name in self.members])), outside)
        )
        self.unread += 1
        if self.unread >= self.every:
            self.settle()

    def settle(self) -> None:
        """Read the results collected so far.

        Raises:
            LearnerError: as above.
        """
        if not self.unread:
            return
        *members, outside = self.bad.tolist()
        if self.every == 1:
            self.bad.zero_()  # the batch did not reach the weights, so the learner is unharmed
        if not any(members) and not outside:
            self.unread = 0
            return
        if any(members):
            names = ", ".join(name for name, bad in zip(self.members, members, strict=True) if bad)
            raise LearnerError(f"batch: expected finite numbers; found NaN or infinity in {names}. Check the dataset.")
        raise LearnerError(
            f"batch: expected rewards from {self.lowest + TOLERANCE:g} to {self.highest - TOLERANCE:g}; found one outside. "
            "Check the dataset's reward map."
        )

    def forget(self) -> None:
        """Drop the collected results: the weights were replaced."""
        self.unread = 0
        self.bad.zero_()
