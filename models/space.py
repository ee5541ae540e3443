"""What a learner knows of its problem before the first batch."""

from typing import NamedTuple, Self

from torch import Tensor

from models.errors import LearnerError


class Space(NamedTuple):
    """Sizes and bounds: S and D as in `Batch`, |a_d| ≤ max_action, lowest_reward ≤ r ≤ highest_reward."""

    observation_dim: int
    action_dim: int
    max_action: float
    lowest_reward: float = -4.0  # a rating scale's worst and best, see `Batch`
    highest_reward: float = 5.0

    @classmethod
    def of(cls, embedding: Tensor, frame: int) -> Self:
        """The space of frames of F events over items (I, D).

        Raises:
            LearnerError: there is no item, or an item's vector is not finite or all zero, so that no action is like it.
        """
        lengths = embedding.abs().amax(1) if embedding.numel() else embedding.new_zeros(0)
        good = lengths.isfinite() & (lengths > 0)
        if not len(lengths) or not bool(good.all()):
            found = f"{int((~good).sum())} rows of zeros, NaN or infinity" if len(lengths) else "none"
            raise LearnerError(
                f"embedding: expected a finite, non-zero vector for every item; found {found}. Encode the items again."
            )
        dim = embedding.shape[1]
        return cls(frame * dim + frame, dim, float(lengths.max()))

    def returns(self, discount: float) -> tuple[float, float]:
        """The least and greatest discounted return that an episode, however long, can have."""
        horizon = 1 / (1 - discount)
        lowest, highest = self.lowest_reward, self.highest_reward
        return min(lowest, lowest * horizon), max(highest, highest * horizon)
