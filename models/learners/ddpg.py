"""Deep deterministic policy gradient, on logged transitions (Lillicrap et al. 2016)."""

from copy import deepcopy
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.nn.utils import clip_grad_norm_

from models.batch import Batch
from models.checks import require_finite
from models.networks import Actor, Critics, move_towards


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


class DDPG:
    """One critic, one actor, targets of both; shapes as in `Batch`."""

    def __init__(
        self,
        config: DDPGConfig,
        observation_dim: int,
        action_dim: int,
        max_action: float,
        device: torch.device,
        seed: int,
    ) -> None:
        self.config = config
        self.actor = Actor(observation_dim, action_dim, config.hidden_dim, max_action).to(device)
        self.critic = Critics(1, observation_dim, action_dim, config.hidden_dim).to(device)
        self.target_actor = deepcopy(self.actor).requires_grad_(False)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), config.actor_learning_rate, fused=True)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), config.critic_learning_rate, fused=True)

    def act(self, observation: Tensor) -> Tensor:
        """π(s)."""
        with torch.no_grad():
            action: Tensor = self.actor(observation)
            return action

    def critic_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean squared Bellman error and the values Q(s, a), (B,)."""
        s, a, r, s_next, terminal = batch
        with torch.no_grad():
            # y = r + γ (1 - d) Q'(s', π'(s'))                                      eq. 4
            y = r + self.config.discount * (1 - terminal) * self.target_critic(s_next, self.target_actor(s_next))[0]
        q = self.critic(s, a)[0]
        return mse_loss(q, y), q

    def actor_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """-Q(s, π(s)), with TD3+BC's anchor to the logged action, and the mean value of the policy."""
        pi = self.actor(batch.observation)
        q = self.critic(batch.observation, pi)[0]
        if self.config.imitation is None:
            return -q.mean(), q.mean()
        # λ = α / mean |Q|;  loss = -λ Q(s, π(s)) + (π(s) - a)²                     Fujimoto & Gu 2021, eq. 5
        scale = self.config.imitation / q.detach().abs().mean().clamp_min(1e-6)
        return -scale * q.mean() + mse_loss(pi, batch.action), q.mean()

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the critic, the actor and both targets.

        Raises:
            LearnerError: the batch holds a value that is not finite.
        """
        require_finite(batch)
        critic_loss, q = self.critic_loss(batch)
        self.critic_optimiser.zero_grad()
        critic_loss.backward()
        clip_grad_norm_(self.critic.parameters(), self.config.max_gradient_norm)
        self.critic_optimiser.step()

        self.critic.requires_grad_(False)  # the actor's loss needs no gradient of the critic's weights
        actor_loss, policy_value = self.actor_loss(batch)
        self.actor_optimiser.zero_grad()
        actor_loss.backward()
        clip_grad_norm_(self.actor.parameters(), self.config.max_gradient_norm)
        self.actor_optimiser.step()
        self.critic.requires_grad_(True)

        move_towards(self.target_critic, self.critic, self.config.target_rate)
        move_towards(self.target_actor, self.actor, self.config.target_rate)
        return {
            "critic_loss": critic_loss.detach(),
            "actor_loss": actor_loss.detach(),
            "value_logged": q.detach().mean(),
            "value_policy": policy_value.detach(),
        }

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses and values of a batch, nothing learnt."""
        with torch.no_grad():
            critic_loss, q = self.critic_loss(batch)
            actor_loss, policy_value = self.actor_loss(batch)
        return {
            "critic_loss": critic_loss,
            "actor_loss": actor_loss,
            "value_logged": q.mean(),
            "value_policy": policy_value,
        }

    def state_dict(self) -> dict[str, Any]:
        """Networks, targets and optimisers."""
        return {name: getattr(self, name).state_dict() for name in PARTS}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        for name in PARTS:
            getattr(self, name).load_state_dict(state[name])


PARTS = ("actor", "critic", "target_actor", "target_critic", "actor_optimiser", "critic_optimiser")
