"""What learners refuse."""

import torch

from models.batch import Batch, Sequences
from models.errors import LearnerError
from models.space import Space

TOLERANCE = 1e-3  # of float32 rewards at the bounds
LATE = 100  # updates between two looks where a look would stop the device's queue


class BatchCheck:
    """Refuses batches with NaN, infinity or rewards beyond the scale.

    On the CPU a bad batch is refused before it reaches the weights. On another device reading the verdict would make the
    host wait in every update, so verdicts are gathered there and read at every 100th batch and by `settle`, which
    comes before anything leaves the learner: a bad batch may spoil up to 100 updates, but no loss, checkpoint or
    policy that came of it is ever handed out.
    """

    def __init__(
        self, space: Space, device: torch.device, every: int | None = None, kind: type[Batch] | type[Sequences] = Batch
    ) -> None:
        self.lowest, self.highest = space.lowest_reward - TOLERANCE, space.highest_reward + TOLERANCE
        self.every = every or (1 if device.type == "cpu" else LATE)
        self.unread = 0
        self.members = Batch._fields if kind is Batch else ("rewards", "terminal")  # items are whole numbers
        self.bad = torch.zeros(len(self.members) + 1, dtype=torch.bool, device=device)

    def __call__(self, batch: Batch | Sequences) -> None:
        """Look at a batch; one sum per tensor carries NaN and infinity along.

        Raises:
            LearnerError: this batch, or one since the last look, holds what it must not; names it.
        """
        least, greatest = torch.aminmax(batch.reward if isinstance(batch, Batch) else batch.rewards)
        beyond = ((least < self.lowest) | (greatest > self.highest)).unsqueeze(0)
        self.bad |= torch.cat(
            (~torch.isfinite(torch.stack([getattr(batch, name).sum() for name in self.members])), beyond)
        )
        self.unread += 1
        if self.unread >= self.every:
            self.settle()

    def settle(self) -> None:
        """Read the verdicts gathered so far.

        Raises:
            LearnerError: as above.
        """
        if not self.unread:
            return
        *members, beyond = self.bad.tolist()
        if self.every == 1:
            self.bad.zero_()  # the batch did not reach the weights: the learner is as good as before
        if not any(members) and not beyond:
            self.unread = 0
            return
        if any(members):
            names = ", ".join(name for name, bad in zip(self.members, members, strict=True) if bad)
            raise LearnerError(f"batch: expected finite numbers; found NaN or infinity in {names}. Check the dataset.")
        raise LearnerError(
            f"batch: expected rewards from {self.lowest + TOLERANCE:g} to {self.highest - TOLERANCE:g}; found one beyond. "
            "Check the dataset's rating scale."
        )

    def forget(self) -> None:
        """The weights were replaced: what was seen before does not matter."""
        self.unread = 0
        self.bad.zero_()
