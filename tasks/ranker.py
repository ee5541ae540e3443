"""The ranking network of a policy that has just been trained."""

import logging
from collections.abc import Callable
from typing import Any

from torch import Tensor

from models.histories import Histories
from models.policy import Policy
from models.ranker_training import train_ranker
from models.ranking_network import RankerConfig
from models.sampling import UniformSampler
from storage.dataset.reader import TransitionDataset

logger = logging.getLogger("marquee.train")


def give_ranker(
    policy: Policy, data: TransitionDataset, config: RankerConfig, seed: int, metrics: Callable[[], dict[str, float]]
) -> dict[str, Any]:
    """Train a ranking network for a policy, which uses it from now on; returns the manifest's facts about it.

    Args:
        policy: whose actor is trained.
        data: its dataset.
        config: size and length of the training.
        seed: of the network and the batches.
        metrics: of the policy on the validation users.
    """
    sampler = UniformSampler(data.starts("train"), config.batch, seed)

    def draw() -> tuple[Histories, Tensor]:
        starts = sampler.next()
        return Histories(*data.histories(starts)), data.target_items(starts)

    before = metrics()["ndcg@10"]
    trained = train_ranker(policy, config, draw, seed)
    after = metrics()["ndcg@10"]
    logger.info(
        "Ranking network: loss %.3f over the %.0f %% of transitions whose item is among the %d candidates; validation NDCG@10 %.4f "
        "before, %.4f with it",
        trained.loss, 100 * trained.found, config.candidates, before, after,
    )  # fmt: skip
    facts = {"loss": trained.loss, "found": trained.found, "validation_ndcg@10_before": before}
    return {
        "ranker": {name: round(value, 6) for name, value in facts.items()},
        "validation_ndcg@10": round(after, 6),
    }
