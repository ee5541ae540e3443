"""Twin delayed DDPG, on logged transitions (Fujimoto et al. 2018), with TD3+BC's anchor (Fujimoto & Gu 2021)."""

from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import mse_loss

from models.batch import Batch
from models.checks import require_finite
from models.learners.actor_critic import ActorCritic


class TD3Config(BaseModel):
    """Hyper-parameters; sources in brackets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["td3"] = "td3"
    discount: float = Field(0.99, ge=0, lt=1, description="γ [Fujimoto et al. 2018, table 3].")
    actor_learning_rate: float = Field(3e-4, gt=0, le=0.1, description="Adam [Fujimoto & Gu 2021, table 2].")
    critic_learning_rate: float = Field(3e-4, gt=0, le=0.1, description="Adam [Fujimoto & Gu 2021, table 2].")
    target_rate: float = Field(0.005, gt=0, le=1, description="τ of all targets [2018, table 3].")
    policy_delay: int = Field(2, ge=1, le=100, description="Critic steps for each actor step [2018, §5.2].")
    target_noise: float = Field(
        0.2, ge=0, le=2, description="σ of the smoothing noise, in units of max_action [2018, §5.3]."
    )
    noise_clip: float = Field(0.5, ge=0, le=5, description="c, its bound, in units of max_action [2018, §5.3].")
    hidden_dim: int = Field(256, ge=4, le=4096, description="Width of both hidden layers [2018, appendix C].")
    max_gradient_norm: float = Field(10.0, gt=0, description="Gradients longer than this are shortened, never turned.")
    imitation: float | None = Field(
        2.5,
        gt=0,
        description="α of TD3+BC's actor loss, against actions nobody logged [Fujimoto & Gu 2021]; none: TD3's.",
    )


class TD3(ActorCritic):
    """Two critics, smoothed target actions; the actor and all targets move at every `policy_delay`-th step."""

    def __init__(
        self,
        config: TD3Config,
        observation_dim: int,
        action_dim: int,
        max_action: float,
        device: torch.device,
        seed: int,
    ) -> None:
        super().__init__(config, 2, observation_dim, action_dim, max_action, device)
        self.config = config
        self.max_action = max_action
        self.generator = torch.Generator(device).manual_seed(seed)
        self.steps = 0
        self.last_actor_metrics: dict[str, Tensor] = {}

    def critic_loss(self, batch: Batch, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Summed squared Bellman errors of both critics and their values of the logged actions, (2, B).

        Args:
            batch: of transitions.
            generator: of the smoothing noise; none: no noise.
        """
        s, a, r, s_next, terminal = batch
        with torch.no_grad():
            next_action = self.target_actor(s_next)
            if generator is not None:
                # ã = clip(π'(s') + clip(ε, -c, c), -max, max),  ε ~ N(0, σ)        eq. 14
                noise = torch.randn(a.shape, generator=generator, device=a.device) * self.config.target_noise
                noise = noise.clamp(-self.config.noise_clip, self.config.noise_clip) * self.max_action
                next_action = (next_action + noise).clamp(-self.max_action, self.max_action)
            # y = r + γ (1 - d) min(Q1', Q2')(s', ã)                                eq. 10
            y = r + self.config.discount * (1 - terminal) * self.target_critics(s_next, next_action).amin(0)
        q = self.critics(s, a)
        return mse_loss(q[0], y) + mse_loss(q[1], y), q

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the critics; every `policy_delay`-th also of the actor and all targets.

        Raises:
            LearnerError: the batch holds a value that is not finite.
        """
        require_finite(batch)
        critic_loss, q = self.critic_loss(batch, self.generator)
        self.step_critics(critic_loss)
        self.steps += 1
        if self.steps % self.config.policy_delay == 0:
            self.last_actor_metrics = self.step_actor_and_targets(batch)
        return {"critic_loss": critic_loss.detach(), "value_logged": q.detach().mean(), **self.last_actor_metrics}

    def state_dict(self) -> dict[str, Any]:
        """Networks, targets, optimisers, the noise generator and the step count."""
        return super().state_dict() | {
            "generator": self.generator.get_state(),
            "steps": self.steps,
            "last_actor_metrics": self.last_actor_metrics,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        super().load_state_dict(state)
        self.generator.set_state(state["generator"].cpu())
        self.steps = state["steps"]
        self.last_actor_metrics = state["last_actor_metrics"]
