"""Every form of a stored policy, by the format that its config names."""

from typing import Any

from torch import Tensor

from models.batch_constrained_policy import BatchConstrainedPolicy
from models.constrained_ranking import ConstrainedRanking
from models.ensemble import Ensemble, EnsembleConfig
from models.histories import Scorer
from models.policy import Policy, Publishable
from models.ranking_policy import RankingPolicy
from models.stored_policy import format_of, parsed, unfit

Single = Policy | RankingPolicy | ConstrainedRanking
KINDS: tuple[type[Single], ...] = (Policy, BatchConstrainedPolicy, RankingPolicy, ConstrainedRanking)
SINGLE = {format_of(kind.stored): kind for kind in KINDS}

# Ends of the names of stored tensors that have one row per item; it is zeros for an item without training events.
PER_ITEM = ("free", "fitted.counts", "fitted.recent", "values.vectors", "values.bias")


def policy_from(config: dict[str, Any], tensors: dict[str, Tensor], embedding: Tensor) -> Publishable:
    """The policy of a config and tensors, as its `config()` and `tensors()` give them, on the items (I, D) it was trained with.

    Raises:
        PolicyError: the format is unknown, the config is not valid, or config, tensors and items do not fit one another.
    """
    if config.get("format") != format_of(EnsembleConfig):
        kind = SINGLE.get(str(config.get("format")), Policy)  # which refuses an unknown format
        return kind.from_tensors(config, tensors, embedding)
    members = parsed(EnsembleConfig, config).members
    parts: list[dict[str, Tensor]] = [{} for _ in members]
    for name, value in tensors.items():
        place, _, rest = name.partition(".")
        if place not in map(str, range(len(members))):
            raise unfit(f"weights of {len(members)} members", name[:80])
        parts[int(place)][rest] = value
    return Ensemble(
        [
            SINGLE.get(str(member.get("format")), Policy).from_tensors(member, part, embedding)
            for member, part in zip(members, parts, strict=True)
        ]
    )


def with_further_items(policy: Publishable, places: Tensor, embedding: Tensor) -> Publishable:
    """A stored policy on its own items and further ones, which for it are items without training events.

    Args:
        policy: on J items.
        places: of these among the I items, (J,) int64 ascending.
        embedding: of all items, (I, D).
    """

    def spread(name: str, value: Tensor) -> Tensor:
        if name.endswith("fitted.items"):
            return places[value]
        if not name.endswith(PER_ITEM):
            return value
        return value.new_zeros(len(embedding), *value.shape[1:]).index_copy(0, places, value)

    tensors = {name: spread(name, value) for name, value in policy.tensors().items()}
    return policy_from(policy.config(), tensors, embedding)


def shortest_history(policy: Scorer) -> int:
    """The events that a history must have for a policy to score items."""
    if isinstance(policy, Ensemble):
        return max(shortest_history(member) for member in policy.members)
    return policy.frame if isinstance(policy, Policy) else 1
