"""Actor-critic with reward regression: the critic predicts the immediate reward, the actor maximises it (the article)."""

from typing import Literal

from torch import Tensor

from models.batch import Batch
from models.learners import article
from models.learners.actor_critic import ActorCritic
from models.learners.config import LowRatesConfig
from models.learners.entry import LearnerEntry


class RewardActorCriticConfig(LowRatesConfig):
    """Hyper-parameters; sources in brackets."""

    name: Literal["reward_actor_critic"] = "reward_actor_critic"


class RewardActorCritic(ActorCritic):
    """A contextual bandit's method: γ = 0."""

    config: RewardActorCriticConfig

    def target(self, batch: Batch) -> Tensor:
        """The target y = r, (B,)."""
        return batch.reward


ENTRY = LearnerEntry(
    RewardActorCriticConfig,
    RewardActorCritic,
    summary="A critic predicts the next rating, and the actor maximises the prediction; considers one step only.",
    paper="Contextual bandits with regression; docs/methods.md",
    article=article.ACTOR_CRITIC,
)
