"""Policy learning: do what users liked (the article's first method; reward-weighted regression, Peters & Schaal 2007)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from models.batch import Batch
from models.learners.actor import ActorLearner
from models.learners.config import ActorConfig


class PolicyLearningConfig(ActorConfig):
    """Hyper-parameters; sources in brackets."""

    name: Literal["policy_learning"] = "policy_learning"
    weighting: Literal["filter", "exponential"] = Field(
        "filter",
        description="filter: only actions of a good reward count [the article]; exponential: exp(r / temperature) "
        "[Peters & Schaal 2007, eq. 11].",
    )
    good_reward: float = Field(
        3.0, ge=-1e9, le=1e9, description="Of filter: the least good one; 3 is four of five stars [the article: liked]."
    )
    temperature: float = Field(2.0, gt=0, le=1e6, description="Of exponential, in rewards; large: all count alike.")


class PolicyLearning(ActorLearner):
    """No critic: regression of the logged actions, weighted by their rewards."""

    config: PolicyLearningConfig

    def weights(self, reward: Tensor) -> Tensor:
        """The weights w, (B,), whose sum is 1, or 0 where no action is good."""
        if self.config.weighting == "exponential":
            return torch.softmax(reward / self.config.temperature, 0)
        good = (reward >= self.config.good_reward).to(reward.dtype)
        return good / good.sum().clamp_min(1)

    def actor_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Σ w (π(s) - a)², averaged over coordinates; a batch without a good action teaches nothing."""
        pi = self.policy(batch.observation)
        error = (pi - batch.action).square().mean(1)
        return (self.weights(batch.reward) * error).sum() + self.likeness(pi), {"imitation_error": error.mean()}
