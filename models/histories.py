"""The histories of users before their next choice, and what ranks items for them."""

from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from models.errors import LearnerError


class Histories(NamedTuple):
    """The latest L events of B users, newest last; shorter histories are filled on the left.

    Shapes:
        items    (B, L) int64    item indices; -1 where there is no event
        rewards  (B, L) float32  their rewards; 0 where there is no event
    """

    items: Tensor
    rewards: Tensor

    def last(self, count: int) -> Self:
        """The latest `count` events of each user, or all if there are fewer."""
        return type(self)(self.items[:, -count:], self.rewards[:, -count:])


def seen_items(items: Tensor, catalogue: int) -> Tensor:
    """Whether each history, of items (B, L) padded with -1, has each item of a catalogue: (B, I) bool."""
    seen = torch.zeros((len(items), catalogue + 1), dtype=torch.bool, device=items.device)
    return seen.scatter_(1, items.where(items >= 0, catalogue), True)[:, :-1]


class Scorer(Protocol):
    """A policy or a baseline: it scores items for histories."""

    def scores(self, histories: Histories) -> Tensor:
        """The score of each item as the next one of each history: (B, I) float32, higher is better."""


def flat_observation(histories: Histories, embedding: Tensor, frame: int) -> Tensor:
    """The observation of each history's latest F events, `[e_1 … e_F | r_1 … r_F]`.

    Args:
        histories: of at least F events each.
        embedding: (I, D) float32.
        frame: F.

    Returns: (B, F*D + F) float32.

    Raises:
        LearnerError: a history is shorter.
    """
    items, rewards = histories.last(frame)
    # An exported policy cannot refuse a history by what is in it.
    if items.shape[1] < frame or (not torch.compiler.is_exporting() and bool((items[:, 0] < 0).any())):
        raise LearnerError(
            f"observation: expected histories of {frame} events or more; found a shorter one. Give longer histories."
        )
    return torch.cat((embedding[items].flatten(1), rewards), dim=1)
