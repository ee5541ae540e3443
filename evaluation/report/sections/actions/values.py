"""Values of the recommended items against those of the actions that led to them."""

import torch
from torch import Tensor

from evaluation.protocols.per_user import mean_by_user
from evaluation.protocols.statistics import mean_interval
from evaluation.record import Record
from models.action_values import ValuesItems, action_values
from models.histories import Histories
from models.wolpertinger import best_unseen
from storage.dataset.reader import TransitionDataset

BATCH = 256  # histories at a time


class Values(Record):
    """The critics' values in the states of the test actions, means over users.

    Attributes:
        generated: of the policy's action.
        recommended: of the item that it recommends first, among those that the user has not rated.
        difference: recommended less generated. Below 0: nearness leads away from the point that the critics value.
        low: lower end of the 95 % bootstrap interval of the difference.
        high: upper end of it.
    """

    generated: float
    recommended: float
    difference: float
    low: float
    high: float


def measure_values(dataset: TransitionDataset, policy: object, starts: Tensor, seed: int) -> Values | None:
    """The values in the states before `starts`, (B,); None for a policy without critics."""
    if not isinstance(policy, ValuesItems):
        return None
    found = []
    for part in starts.split(BATCH):
        histories = Histories(*dataset.histories(part))
        best = best_unseen(policy.scores(histories), histories.items, 1).items
        generated, recommended = action_values(policy, histories), policy.item_values(histories, best)
        if generated is None or recommended is None:
            return None
        found.append(torch.stack((generated, recommended.squeeze(1)), 1))
    of_action, of_item = torch.cat(found).double().cpu().numpy().T
    per_user = mean_by_user(dataset.users_of(starts).cpu().numpy(), {"generated": of_action, "recommended": of_item})
    difference, low, high = mean_interval(per_user.column("recommended") - per_user.column("generated"), seed)
    of_generated, of_recommended = per_user.values.mean(0).tolist()
    return Values(generated=of_generated, recommended=of_recommended, difference=difference, low=low, high=high)
