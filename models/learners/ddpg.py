"""Deep deterministic policy gradient, on logged transitions (Lillicrap et al. 2016)."""

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import mse_loss

from models.batch import Batch
from models.checks import require_finite
from models.learners.actor_critic import ActorCritic


class DDPGConfig(BaseModel):
    """Hyper-parameters; sources in brackets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["ddpg"] = "ddpg"
    discount: float = Field(0.99, ge=0, lt=1, description="γ [Lillicrap et al. 2016, §7].")
    actor_learning_rate: float = Field(1e-4, gt=0, le=0.1, description="Adam [Lillicrap et al. 2016, §7].")
    critic_learning_rate: float = Field(1e-3, gt=0, le=0.1, description="Adam [Lillicrap et al. 2016, §7].")
    target_rate: float = Field(0.001, gt=0, le=1, description="τ of both targets, every step [2016, §7].")
    hidden_dim: int = Field(256, ge=4, le=4096, description="Width of both hidden layers.")
    max_gradient_norm: float = Field(10.0, gt=0, description="Gradients longer than this are shortened, never turned.")
    imitation: float | None = Field(
        2.5,
        gt=0,
        description="α of TD3+BC's actor loss, against actions nobody logged [Fujimoto & Gu 2021]; none: DDPG's.",
    )


class DDPG(ActorCritic):
    """One critic; critic, actor and targets all move at every step."""

    def __init__(
        self,
        config: DDPGConfig,
        observation_dim: int,
        action_dim: int,
        max_action: float,
        device: torch.device,
        seed: int,
    ) -> None:
        super().__init__(config, 1, observation_dim, action_dim, max_action, device)
        self.config = config

    def critic_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean squared Bellman error and the values Q(s, a), (1, B)."""
        s, a, r, s_next, terminal = batch
        with torch.no_grad():
            # y = r + γ (1 - d) Q'(s', π'(s'))                                      eq. 4
            y = r + self.config.discount * (1 - terminal) * self.target_critics(s_next, self.target_actor(s_next))[0]
        q = self.critics(s, a)
        return mse_loss(q[0], y), q

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the critic, the actor and both targets.

        Raises:
            LearnerError: the batch holds a value that is not finite.
        """
        require_finite(batch)
        critic_loss, q = self.critic_loss(batch)
        self.step_critics(critic_loss)
        metrics = self.step_actor_and_targets(batch)
        return {"critic_loss": critic_loss.detach(), "value_logged": q.detach().mean(), **metrics}
