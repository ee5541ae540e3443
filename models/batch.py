"""What a learner learns from: one batch of transitions, or of pieces of histories, as tensors on one device."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """B transitions; D is the item embedding's width, F the frame's length, S = F*D + F.

    Legend of shapes, all float32:
        observation       (B, S)   F embeddings, oldest first, then their F rewards
        action            (B, D)   the embedding of the event after the frame
        reward            (B,)     2 * (rating - 2.5) for MovieLens: -4 … 5
        next_observation  (B, S)   the frame moved by one event
        terminal          (B,)     1 on the last transition of a history, else 0
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    next_observation: Tensor
    terminal: Tensor


class Sequences(NamedTuple):
    """B pieces of histories; every event but the first is an action taken in the state before it.

    items (B, L + 1) int64, -1 where there is no event (left); rewards (B, L + 1) float32; terminal (B,), 1 where the last
    event ends its history.
    """

    items: Tensor
    rewards: Tensor
    terminal: Tensor

    @property
    def before(self) -> tuple[Tensor, Tensor]:
        """Items and rewards, (B, L) each, that states before actions are made of: without the last action, as when ranking."""
        return self.items[:, :-1], self.rewards[:, :-1]

    @property
    def taken(self) -> Tensor:
        """Where an action was taken in a state, (B, L) bool: place l is the event at l + 1, taken in the state after that at l."""
        return (self.items[:, :-1] >= 0) & (self.items[:, 1:] >= 0)
