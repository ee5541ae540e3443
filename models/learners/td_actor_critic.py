"""Actor-critic with temporal difference, without target networks (the article; Sutton & Barto 2018, §6.1, 9.3)."""

from typing import Literal

from torch import Tensor

from models.batch import Batch
from models.learners.actor_critic import ActorCritic
from models.learners.config import TemporalDifferenceConfig


class TDActorCriticConfig(TemporalDifferenceConfig):
    """Hyper-parameters; sources in brackets."""

    name: Literal["td_actor_critic"] = "td_actor_critic"


class TDActorCritic(ActorCritic):
    """The critic bootstraps from itself as it is now; a semi-gradient: none flows through y."""

    config: TDActorCriticConfig

    def target(self, batch: Batch) -> Tensor:
        """The target y = r + γ (1 - d) Q(s', π(s'))."""
        _, _, r, s_next, terminal = batch
        y: Tensor = r + self.config.discount * (1 - terminal) * self.critics(s_next, self.policy(s_next))[0]
        return y
