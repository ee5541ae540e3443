"""Sizes and bounds of a learning problem, known before the first batch."""

import math
from typing import NamedTuple, Self

from torch import Tensor

from models.errors import LearnerError


class Space(NamedTuple):
    """Sizes and bounds: S and D as in `Batch`, |a_d| ≤ max_action, lowest_reward ≤ r ≤ highest_reward."""

    observation_dim: int
    action_dim: int
    max_action: float
    lowest_reward: float
    highest_reward: float

    @classmethod
    def of(cls, embedding: Tensor, frame: int, reward_bounds: tuple[float, float]) -> Self:
        """Make the space of a dataset.

        Args:
            embedding: of the items, (I, D).
            frame: F, events in one observation.
            reward_bounds: least and greatest reward.

        Raises:
            LearnerError: there is no item, or an item's vector is not finite or all zero, so that no action is similar to it.
        """
        lengths = embedding.abs().amax(1) if embedding.numel() else embedding.new_zeros(0)
        good = lengths.isfinite() & (lengths > 0)
        if not len(lengths) or not bool(good.all()):
            found = f"{int((~good).sum())} rows of zeros, NaN or infinity" if len(lengths) else "none"
            raise LearnerError(
                f"embedding: expected a finite, non-zero vector for every item; found {found}. Encode the items again."
            )
        dim = embedding.shape[1]
        return cls(frame * dim + frame, dim, float(lengths.max()), *reward_bounds)

    @property
    def liked_reward(self) -> float:
        """The least reward of a liked rating, which is 7/9 of the way up the scale: 4 of 0.5 … 5 stars."""
        # A millionth lower, as the float32 reward of exactly that rating may be rounded down.
        return self.lowest_reward + (7 / 9 - 1e-6) * (self.highest_reward - self.lowest_reward)

    @property
    def largest_reward(self) -> float:
        """The largest absolute reward."""
        return max(abs(self.lowest_reward), abs(self.highest_reward))

    def returns(self, discount: float, steps: float = math.inf) -> tuple[float, float]:
        """The least and greatest discounted return of an episode of any length, or of at most `steps` steps."""
        horizon = (1 - discount**steps) / (1 - discount)
        lowest, highest = self.lowest_reward, self.highest_reward
        return min(lowest, lowest * horizon), max(highest, highest * horizon)
