"""What the critics of a policy do to its ranking: the same policy without them."""

from copy import copy

from models.histories import Scorer
from models.policy import Policy
from models.ranking_policy import RankingPolicy


def without_critics(policy: Scorer) -> Scorer | None:
    """The same policy with items in the order that its critics re-rank; None if no critics re-rank."""
    if isinstance(policy, RankingPolicy) and policy.weights[policy.question].critic > 0:
        ranking = copy(policy)
        ranking.weights = {name: one.model_copy(update={"critic": 0.0}) for name, one in policy.weights.items()}
        return ranking
    if isinstance(policy, Policy) and policy.candidates > 0 and policy.ranker is None:
        nearest = copy(policy)
        nearest.candidates = 0
        return nearest
    return None
