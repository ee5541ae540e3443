"""What deterministic actor-critics on logged transitions share: networks, the actor's step, targets, state."""

from copy import deepcopy
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.nn.utils import clip_grad_norm_

from models.batch import Batch
from models.networks import Actor, Critics, move_towards

PARTS = ("actor", "critics", "target_actor", "target_critics", "actor_optimiser", "critic_optimiser")


class ActorCriticConfig(Protocol):
    """The hyper-parameters the shared part reads."""

    @property
    def actor_learning_rate(self) -> float: ...  # noqa: D102
    @property
    def critic_learning_rate(self) -> float: ...  # noqa: D102
    @property
    def target_rate(self) -> float: ...  # noqa: D102
    @property
    def hidden_dim(self) -> int: ...  # noqa: D102
    @property
    def max_gradient_norm(self) -> float: ...  # noqa: D102
    @property
    def imitation(self) -> float | None: ...  # noqa: D102


class ActorCritic:
    """An actor, n critics, targets and Adam for both; shapes as in `Batch`. A learner adds its critic's loss and rhythm."""

    def __init__(
        self,
        config: ActorCriticConfig,
        critics: int,
        observation_dim: int,
        action_dim: int,
        max_action: float,
        device: torch.device,
    ) -> None:
        self.shared = config
        self.actor = Actor(observation_dim, action_dim, config.hidden_dim, max_action).to(device)
        self.critics = Critics(critics, observation_dim, action_dim, config.hidden_dim).to(device)
        self.target_actor = deepcopy(self.actor).requires_grad_(False)
        self.target_critics = deepcopy(self.critics).requires_grad_(False)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), config.actor_learning_rate, fused=True)
        self.critic_optimiser = torch.optim.Adam(self.critics.parameters(), config.critic_learning_rate, fused=True)

    def act(self, observation: Tensor) -> Tensor:
        """π(s)."""
        with torch.no_grad():
            action: Tensor = self.actor(observation)
            return action

    def critic_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The learner's own loss, without exploration noise, and the values of the logged actions, (n, B)."""
        raise NotImplementedError

    def actor_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """-Q1(s, π(s)), with TD3+BC's anchor to the logged action, and the mean value of the policy."""
        pi = self.actor(batch.observation)
        q = self.critics(batch.observation, pi)[0]
        if self.shared.imitation is None:
            return -q.mean(), q.mean()
        # λ = α / mean |Q|;  loss = -λ Q1(s, π(s)) + (π(s) - a)²                    Fujimoto & Gu 2021, eq. 5
        scale = self.shared.imitation / q.detach().abs().mean().clamp_min(1e-6)
        return -scale * q.mean() + mse_loss(pi, batch.action), q.mean()

    def step_critics(self, loss: Tensor) -> None:
        """One clipped Adam step of the critics."""
        self.critic_optimiser.zero_grad()
        loss.backward()
        clip_grad_norm_(self.critics.parameters(), self.shared.max_gradient_norm)
        self.critic_optimiser.step()

    def step_actor_and_targets(self, batch: Batch) -> dict[str, Tensor]:
        """One clipped Adam step of the actor, then θ' ← (1 - τ) θ' + τ θ for all targets; the actor's metrics."""
        self.critics.requires_grad_(False)  # the actor's loss needs no gradient of the critics' weights
        actor_loss, policy_value = self.actor_loss(batch)
        self.actor_optimiser.zero_grad()
        actor_loss.backward()
        clip_grad_norm_(self.actor.parameters(), self.shared.max_gradient_norm)
        self.actor_optimiser.step()
        self.critics.requires_grad_(True)
        move_towards(self.target_critics, self.critics, self.shared.target_rate)
        move_towards(self.target_actor, self.actor, self.shared.target_rate)
        return {"actor_loss": actor_loss.detach(), "value_policy": policy_value.detach()}

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
