"""Deep deterministic policy gradient, on logged transitions (Lillicrap et al. 2016)."""

from typing import Literal

from pydantic import Field
from torch import Tensor

from models.batch import Batch
from models.learners.actor_critic import TargetActorCritic
from models.learners.config import LowRatesConfig, TemporalDifferenceConfig


class DDPGConfig(LowRatesConfig, TemporalDifferenceConfig):
    """Hyper-parameters; sources in brackets."""

    name: Literal["ddpg"] = "ddpg"
    target_rate: float = Field(0.001, gt=0, le=1, description="τ of both targets, every step [2016, §7].")


class DDPG(TargetActorCritic):
    """The critic bootstraps from slow copies of both networks, which move at every step."""

    config: DDPGConfig

    def target(self, batch: Batch) -> Tensor:
        """The target y = r + γ (1 - d) Q'(s', π'(s')), eq. 4."""
        _, _, r, s_next, terminal = batch
        y: Tensor = (
            r + self.config.discount * (1 - terminal) * self.target_critics(s_next, self.target_policy(s_next))[0]
        )
        return y

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the critic, the actor and both targets.

        Raises:
            LearnerError: the batch holds a number that is not finite, or a reward beyond its bounds.
        """
        metrics = super().update(batch)
        self.move_targets(self.config.target_rate)
        return metrics
