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

    A ranking policy's learnt terms, z π(s)·(e + u) + p log(1 + n), are an inner product of D + 1 numbers; its fitted terms are left
    out.

    Raises:
        PolicyError: the policy ranks by no nearness to a point, as ensembles and `discrete_bcq`.
    """
    if isinstance(policy, Policy):
        return policy.embedding, policy.nearest.measure
    if isinstance(policy, RankingPolicy):
        with torch.no_grad():
            return torch.cat((policy.vectors(), policy.log_count.unsqueeze(1)), 1), "dot"
    raise PolicyError(
        f"index: expected a policy that ranks items by nearness to an action; found {type(policy).__name__}. Index another policy."
    )


@torch.no_grad()
def query_vectors(policy: Publishable, histories: Histories) -> Tensor:
    """What is searched for among `searched_vectors` for each history: (B, D').

    Raises:
        PolicyError: as `searched_vectors`.
    """
    if isinstance(policy, RankingPolicy):
        action = policy.action_scale * policy.actions(policy.state(histories))
        return torch.cat((action, policy.popularity.expand(len(action), 1)), 1)
    searched_vectors(policy)
    return policy.act(histories)
