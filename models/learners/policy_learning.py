"""Policy learning: regress the actions that users liked (the article's first method; Peters & Schaal 2007)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from models.batch import Batch
from models.learners import article
from models.learners.actor import ActorLearner
from models.learners.config import ActorConfig
from models.learners.entry import LearnerEntry


class PolicyLearningConfig(ActorConfig):
    """Hyper-parameters; sources in brackets."""

    name: Literal["policy_learning"] = "policy_learning"
    weighting: Literal["filter", "exponential"] = Field(
        "filter",
        description="filter: only actions with a good reward count [the article]; exponential: exp(r / temperature) "
        "[Peters & Schaal 2007, eq. 11].",
    )
    good_reward: float | None = Field(
        None,
        ge=-1e9,
        le=1e9,
        description="For filter: the least good reward; none: that of a liked rating, four of five stars [the article].",
    )
    temperature: float = Field(
        2.0, gt=0, le=1e6, description="For exponential, in units of reward; large values weight all actions alike."
    )


class PolicyLearning(ActorLearner):
    """No critic: regression of the logged actions, weighted by their rewards."""

    config: PolicyLearningConfig

    def weights(self, reward: Tensor) -> Tensor:
        """The weights w of actions with rewards (B,): (B,), with sum 1, or all 0 if no action is good."""
        if self.config.weighting == "exponential":
            return torch.softmax(reward / self.config.temperature, 0)
        least = self.space.liked_reward if self.config.good_reward is None else self.config.good_reward
        good = (reward >= least).to(reward.dtype)
        return good / good.sum().clamp_min(1)

    def actor_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Σ w (π(s) - a)², averaged over coordinates, plus the diversity penalty."""
        pi = self.policy(batch.observation)
        error = (pi - batch.action).square().mean(1)
        return (self.weights(batch.reward) * error).sum() + self.likeness(pi), {"imitation_error": error.mean()}


ENTRY = LearnerEntry(
    PolicyLearningConfig,
    PolicyLearning,
    summary="Imitates the choices that users liked; has no critic.",
    paper="Reward-weighted regression, Peters & Schaal 2007",
    article=article.ACTOR,
)
