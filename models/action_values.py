"""The values that a policy's critics give to its own actions and to items."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from models.ensemble import Ensemble, mean_of_known
from models.histories import Histories, Scorer
from models.policy import Policy
from models.ranking_policy import RankingPolicy


@runtime_checkable
class ValuesItems(Scorer, Protocol):
    """A policy whose critics value items."""

    def item_values(self, histories: Histories, items: Tensor) -> Tensor | None:
        """The values of items (B, C): (B, C); None without critics."""


@torch.no_grad()
def action_values(policy: object, histories: Histories) -> Tensor | None:
    """The critics' smaller value of the policy's action in each state: (B,).

    None without critics, and where an action is an item, as in `discrete_bcq`. Of an ensemble the mean over its members.
    """
    if isinstance(policy, Ensemble):
        return mean_of_known([action_values(member, histories) for member in policy.members])
    if isinstance(policy, Policy) and policy.critics is not None:
        observation = policy.observations(histories)
        values: Tensor = policy.critics(observation, policy.actor(observation)).amin(0)
        return values
    if isinstance(policy, RankingPolicy) and policy.params.critic_candidates > 0:
        state = policy.state(histories)
        return policy.values(state, policy.actions(state))
    return None


def item_values_of(scorer: Scorer, histories: Histories, items: Sequence[Tensor]) -> list[list[float | None]]:
    """The critics' values of each row's items; None without critics. Rows of equally many items are computed together."""
    values: list[list[float | None]] = [[None] * len(some) for some in items]
    if not isinstance(scorer, ValuesItems):
        return values
    for size in {len(some) for some in items} - {0}:
        rows = [row for row, some in enumerate(items) if len(some) == size]
        some = histories if len(rows) == len(items) else Histories(histories.items[rows], histories.rewards[rows])
        found = scorer.item_values(some, torch.stack([items[row] for row in rows]))
        if found is not None:
            for row, of_row in zip(rows, found.tolist(), strict=True):
                values[row] = of_row
    return values
