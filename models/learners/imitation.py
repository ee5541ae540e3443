"""Pre-training by imitation: the actor begins near the logged actions, and the critics have learnt when it starts to follow them.

An actor that follows an untrained critic leaves the logged actions at once, and what the critics say elsewhere is a guess
(Goecks et al. 2020, arXiv:1910.04281: pre-training by behaviour cloning, then the actor-critic's own loss).
"""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import mse_loss

from models.batch import Batch
from models.learners.actor_critic import TargetActorCritic
from models.learners.config import TargetConfig
from models.space import Space


class ImitationConfig(TargetConfig):
    """Hyper-parameters of learners that may begin with imitation."""

    imitation_steps: int = Field(
        0,
        ge=0,
        le=100_000_000,
        description="First updates, in which the actor imitates the logged actions while the critics learn; 0: none.",
    )
    imitation_learning_rate: float = Field(
        3e-4, gt=0, le=0.1, description="Learning rate of the actor in these updates [Fujimoto & Gu 2021, table 2]."
    )


class ImitatesFirst(TargetActorCritic):
    """An actor-critic whose actor imitates for the first `imitation_steps` updates, with an optimiser of its own."""

    config: ImitationConfig

    def __init__(self, config: ImitationConfig, space: Space, device: torch.device, seed: int) -> None:
        super().__init__(config, space, device, seed)
        if config.imitation_steps:
            self.optimise("imitation", self.policy, config.imitation_learning_rate)

    def imitation_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean (π(s) - a)², averaged over coordinates, plus the diversity penalty."""
        pi = self.policy(batch.observation)
        error = mse_loss(pi, batch.action)
        with torch.no_grad():
            q = self.critics(batch.observation, pi, count=1)[0]
        return error + self.likeness(pi), {"value_policy": q.mean(), "imitation_error": error}

    @property
    def imitates(self) -> bool:
        """Whether the present update is one of imitation."""
        return self.steps <= self.config.imitation_steps

    @property
    def actor_is_due(self) -> bool:
        """Whether the actor moves at this step too: `policy_delay` is for following the critics, and imitation needs none."""
        return self.imitates or super().actor_is_due

    def step_actor(self, batch: Batch) -> None:
        """Take one step of the actor down the loss of the present phase."""
        if self.imitates:
            self.actor_metrics = self.descend("actor", *self.imitation_loss(batch), by="imitation")
        else:
            super().step_actor(batch)
