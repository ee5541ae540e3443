"""Policies trained on another catalogue, as scorers of this one."""

from typing import Self

import torch
from torch import Tensor

from models.errors import LearnerError
from models.histories import Histories, Scorer
from models.serve_for import ServeFor, serving


class Translated:
    """A scorer of another catalogue: translates histories to its item indices and its scores back to ours.

    Events of items that it does not know are dropped from a history; if fewer than `shortest` remain, the oldest of them is
    repeated in front. Items that it does not know are ranked after all others.
    """

    def __init__(self, scorer: Scorer, own: Tensor, shortest: int) -> None:
        """Make the translation.

        Args:
            scorer: of its own J items.
            own: (I,) int64, the scorer's index of each of our I items; -1 where it has none.
            shortest: F, events that its histories must have.

        Raises:
            LearnerError: it knows none of our items.
        """
        if not bool((own >= 0).any()):
            raise LearnerError(
                "policy: expected one that was trained on some of this dataset's items; found none of them in it. Choose another policy."
            )
        self.scorer, self.own, self.shortest = scorer, own, shortest

    def serving(self, question: ServeFor) -> Self:
        """This translation of the scorer that answers a question."""
        return type(self)(serving(self.scorer, question), self.own, self.shortest)

    def scores(self, histories: Histories) -> Tensor:
        """Score each of our items as the next of each history: (B, I); all equal if no event of a history is known."""
        items, rewards = self.translated(histories)
        silent = items[:, -1] < 0
        items[silent, -self.shortest :] = 0
        theirs = self.scorer.scores(Histories(items, rewards))
        known = self.own >= 0
        ours = theirs.amin(1, keepdim=True).repeat(1, len(self.own)) - 1
        ours[:, known] = theirs[:, self.own[known]]
        ours[silent] = 0
        return ours

    def translated(self, histories: Histories) -> Histories:
        """The histories in the scorer's item indices, (B, max(L, F)), padded on the left with -1."""
        missing = self.shortest - histories.items.shape[1]
        items = torch.nn.functional.pad(histories.items, (max(missing, 0), 0), value=-1)
        rewards = torch.nn.functional.pad(histories.rewards, (max(missing, 0), 0))
        theirs = self.own[items.clamp_min(0)].where(items >= 0, -1)
        order = (theirs >= 0).int().sort(dim=1, stable=True).indices  # known events to the right, in their order
        theirs, rewards = theirs.gather(1, order), rewards.gather(1, order)
        oldest = (theirs < 0).sum(1, keepdim=True).clamp_max(theirs.shape[1] - 1)
        place = torch.arange(theirs.shape[1], device=theirs.device)
        filled = (place >= theirs.shape[1] - self.shortest) & (theirs < 0)
        return Histories(
            theirs.gather(1, oldest).where(filled, theirs),
            (rewards.gather(1, oldest) * (theirs.gather(1, oldest) >= 0)).where(filled, rewards * (theirs >= 0)),
        )
