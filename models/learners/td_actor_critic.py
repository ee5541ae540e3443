"""Actor-critic with temporal differences and no target networks (the article; Sutton & Barto 2018, §6.1, 9.3)."""

from typing import Literal

from torch import Tensor

from models.batch import Batch
from models.learners import article
from models.learners.actor_critic import TemporalDifference
from models.learners.config import TemporalDifferenceConfig
from models.learners.entry import LearnerEntry


class TDActorCriticConfig(TemporalDifferenceConfig):
    """Hyper-parameters; sources in brackets."""

    name: Literal["td_actor_critic"] = "td_actor_critic"


class TDActorCritic(TemporalDifference):
    """The critic bootstraps from its current weights by a semi-gradient: no gradient flows through y."""

    config: TDActorCriticConfig

    def target(self, batch: Batch) -> Tensor:
        """The target y = r + γ (1 - d) Q(s', π(s')), (B,)."""
        s_next = batch.next_observation
        return self.bootstrapped(batch, self.critics(s_next, self.policy(s_next))[0])


ENTRY = LearnerEntry(
    TDActorCriticConfig,
    TDActorCritic,
    summary="A critic predicts the sum of discounted later ratings, bootstrapping from itself; the actor maximises it.",
    paper="Temporal differences, Sutton 1988; actor-critic, Konda & Tsitsiklis 2000",
    article=article.TEMPORAL_DIFFERENCE,
)
