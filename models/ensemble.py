"""A policy made of several policies with different seeds, whose scores and actions are averaged."""

from collections.abc import Sequence
from typing import Any, Literal, Self, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.histories import Histories
from models.policy import Publishable
from models.serve_for import ServeFor, serving


class EnsembleConfig(BaseModel):
    """All of an ensemble but its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["marquee-ensemble-policy/1"] = "marquee-ensemble-policy/1"
    members: list[dict[str, Any]] = Field(
        min_length=2, max_length=64, description="The configs of the members; none of them is an ensemble."
    )


class Ensemble:
    """The mean of the members' standardised scores, and of their actions: seeds differ by chance, which a mean reduces."""

    def __init__(self, members: Sequence[Publishable]) -> None:
        self.members = tuple(members)

    def serving(self, question: ServeFor) -> Self:
        """The ensemble of the members that answer a question."""
        return type(self)([cast(Publishable, serving(member, question)) for member in self.members])

    @torch.no_grad()
    def scores(self, histories: Histories) -> Tensor:
        """Mean over the members of (score - mean) / std over the items: (B, I), higher is better."""
        total = standardised(self.members[0].scores(histories))
        for member in self.members[1:]:
            total += standardised(member.scores(histories))
        return total / len(self.members)

    def act(self, histories: Histories) -> Tensor:
        """The mean of the members' actions: (B, D)."""
        return torch.stack([member.act(histories) for member in self.members]).mean(0)

    def item_values(self, histories: Histories, items: Tensor) -> Tensor | None:
        """The mean of the members' values of items (B, C): (B, C); None if one has no critics."""
        return mean_of_known([member.item_values(histories, items) for member in self.members])

    def config(self) -> dict[str, Any]:
        """All of this policy but its tensors, as JSON."""
        return EnsembleConfig(members=[member.config() for member in self.members]).model_dump()

    def tensors(self) -> dict[str, Tensor]:
        """The members' tensors, on the CPU; names begin with the member's place."""
        return {
            f"{place}.{name}": value
            for place, member in enumerate(self.members)
            for name, value in member.tensors().items()
        }


def mean_of_known(values: Sequence[Tensor | None]) -> Tensor | None:
    """The mean of all values; None if one is not known."""
    known = [one for one in values if one is not None]
    return torch.stack(known).mean(0) if len(known) == len(values) else None


def standardised(scores: Tensor) -> Tensor:
    """Scores (B, I) less their mean and divided by their standard deviation over the items."""
    deviations = scores - scores.mean(1, keepdim=True)
    return deviations / deviations.square().mean(1, keepdim=True).sqrt().clamp_min(1e-12)
