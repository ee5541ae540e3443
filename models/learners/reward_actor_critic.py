"""Actor-critic with reward regression: the critic predicts the reward at hand, and the actor seeks it (the article)."""

from typing import Literal

from torch import Tensor

from models.batch import Batch
from models.learners.actor_critic import ActorCritic
from models.learners.config import LowRatesConfig


class RewardActorCriticConfig(LowRatesConfig):
    """Hyper-parameters; sources in brackets."""

    name: Literal["reward_actor_critic"] = "reward_actor_critic"


class RewardActorCritic(ActorCritic):
    """Myopic: a contextual bandit's method, γ = 0."""

    config: RewardActorCriticConfig

    def target(self, batch: Batch) -> Tensor:
        """The target y = r."""
        return batch.reward
