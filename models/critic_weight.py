"""A policy with another weight of its critics, or without them."""

from copy import copy

from models.ensemble import Ensemble
from models.histories import Scorer
from models.policy import Policy, Publishable
from models.ranking_policy import RankingPolicy

CANDIDATES = 50  # that the critics of a `Policy` re-rank if tuning let them re-rank none


def with_critic_weight(policy: Scorer, weight: float, candidates: int = CANDIDATES) -> Publishable | None:
    """The same policy with another weight of its critics; None if it has none that can re-rank.

    Args:
        policy: a policy or a baseline; the result shares its tensors.
        weight: of the critics' standardised value against the standardised score in re-ranking the best items; 0: they do
            not re-rank; ∞: they alone order these items.
        candidates: how many items those of a `Policy` re-rank if tuning let them re-rank none.
    """
    if isinstance(policy, Ensemble):
        members = [one for member in policy.members if (one := with_critic_weight(member, weight, candidates))]
        return Ensemble(members) if len(members) == len(policy.members) else None
    if isinstance(policy, RankingPolicy) and policy.params.critic_candidates > 0:
        ranking = copy(policy)
        ranking.weights = {name: one.model_copy(update={"critic": weight}) for name, one in policy.weights.items()}
        return ranking
    if isinstance(policy, Policy) and policy.critics is not None and policy.ranker is None:
        nearest = copy(policy)
        nearest.candidates, nearest.critic_weight = policy.candidates or candidates, weight
        return nearest
    return None


def without_critics(policy: Scorer) -> Publishable | None:
    """The same policy with items in the order that its critics re-rank; None if no critics re-rank."""
    if isinstance(policy, RankingPolicy):
        re_rank = policy.weights[policy.question].critic > 0
    else:
        re_rank = isinstance(policy, Policy) and policy.candidates > 0
    return with_critic_weight(policy, 0.0) if re_rank else None
