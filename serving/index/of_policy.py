"""What an item index of a policy holds, and what is searched for in it."""

import torch
from torch import Tensor

from models.errors import PolicyError
from models.histories import Histories
from models.nearest import Similarity
from models.policy import Policy, Publishable
from models.ranking_policy import RankingPolicy


def searched_vectors(policy: Publishable) -> tuple[Tensor, Similarity]:
    """The vectors (I, D') of a policy's items, and the measure of nearness by which its action ranks them.

    Of a ranking policy's weighted score, the terms that are an inner product of D + 1 numbers are held: the action,
    (w z π(s))·(e + u), and the sum of those that are the same for all histories (popularity, recent popularity, the offset
    of items without training events). Its other fitted terms and the critics are left out.

    Raises:
        PolicyError: the policy ranks by no nearness to an action: ensembles, `discrete_bcq`, and ranking policies whose
            tuned weight of the action is 0.
    """
    if isinstance(policy, Policy):
        return policy.embedding, policy.nearest.measure
    if not isinstance(policy, RankingPolicy):
        found = type(policy).__name__
    elif (weights := policy.weights[policy.question]).actor == 0:
        found = "a ranking policy whose weight of the action is 0"
    else:
        with torch.no_grad():
            for_all = (
                weights.popularity * policy.popularity * policy.log_count
                + weights.recent_popularity * policy.log_recent
                + weights.cold * policy.known.cold
            )
            return torch.cat((policy.vectors(), for_all.unsqueeze(1)), 1), "dot"
    raise PolicyError(
        f"index: expected a policy that ranks items by nearness to an action; found {found}. Index another policy."
    )


@torch.no_grad()
def query_vectors(policy: Publishable, histories: Histories) -> Tensor:
    """What is searched for among `searched_vectors` for each history: (B, D').

    Raises:
        PolicyError: as `searched_vectors`.
    """
    if not isinstance(policy, RankingPolicy):
        searched_vectors(policy)
        return policy.act(histories)
    action = policy.actions(policy.state(histories))
    weight = policy.weights[policy.question].actor * policy.action_scale
    return torch.cat((weight * action, action.new_ones(len(action), 1)), 1)
