"""The learning rate of each part of a ranking policy."""

from torch import nn

from models.learners.config import SequenceConfig
from models.optimisers import Optimiser, OptimiserConfig, make_optimiser
from models.ranking_policy import RankingPolicy


def optimisers_of(policy: RankingPolicy, config: SequenceConfig, kind: OptimiserConfig) -> dict[str, Optimiser]:
    """Make optimisers by name: of the learnt terms' factors, the actor with its state, the items' own vectors.

    Parameters without a gradient get no optimiser, and critics get theirs from the learner that has them.
    """
    groups: dict[str, list[nn.Parameter]] = {"mixture": [], "actor": [], "item": [], "critic": []}
    of_group = {"popularity": "mixture", "action_scale": "mixture", "free": "item", "critics": "critic"}
    for name, parameter in policy.named_parameters():
        groups[of_group.get(name.partition(".")[0], "actor")].append(parameter)
    decayed = {"item": kind.model_copy(update={"weight_decay": config.item_decay})}
    learns = {"item": config.policy.own_vectors, "critic": False}
    return {
        f"{name}_optimiser": make_optimiser(
            decayed.get(name, kind), group, config.mixture_rate if name == "mixture" else config.learning_rate
        )
        for name, group in groups.items()
        if learns.get(name, True)
    }
