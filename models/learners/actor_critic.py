"""What actor-critics on logged transitions share: critics, their step, the actor's loss, targets."""

from copy import deepcopy
from typing import ClassVar

import torch
from torch import Tensor, nn

from models.batch import Batch
from models.learners.actor import ActorLearner
from models.learners.config import ActorCriticConfig, TemporalDifferenceConfig
from models.networks import Critics, frozen, move_towards
from models.optimisers import Optimiser, OptimiserName
from models.space import Space


class ActorCritic(ActorLearner):
    """An actor and n critics Q_i(s, a). A method says what target y the critics regress."""

    config: ActorCriticConfig
    critic_count: ClassVar[int] = 1

    def __init__(self, config: ActorCriticConfig, space: Space, device: torch.device, seed: int) -> None:
        super().__init__(config, space, device, seed)
        self.critics = Critics(
            self.critic_count,
            space.observation_dim,
            space.action_dim,
            config.hidden_dim,
            config.critic_last_bound,
            config.precision,
        ).to(device)
        self.critic_optimiser = self._optimiser_of(self.critics, config.critic_learning_rate)
        self.target_bounds = target_bounds(config, space)

    @property
    def acting(self) -> nn.Module:
        """The actor; with the critics where they have a say in the ranking."""
        if self.config.critic_candidates == 0:
            return self.policy
        return nn.ModuleDict({"actor": self.policy, "critics": self.critics})

    def target(self, batch: Batch) -> Tensor:
        """y, (B,), what Q(s, a) should be; called without gradient."""
        raise NotImplementedError

    def noisy_target(self, batch: Batch) -> Tensor:
        """`target` as learning sees it, for methods that add noise to it."""
        return self.target(batch)

    def within_bounds(self, y: Tensor) -> Tensor:
        """Targets y, clipped where that is wanted."""
        return y if self.target_bounds is None else y.clamp(*self.target_bounds)

    def critic_loss(self, batch: Batch, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Σ_i mean (Q_i(s, a) - y)², y clipped to its bounds."""
        clipped = self.within_bounds(y)
        q = self.critics(batch.observation, batch.action)
        loss = (q - clipped).square().mean(1).sum()
        share = (clipped != y).float().mean()
        return loss, {"value_logged": q.mean(), "value_target": clipped.mean(), "targets_clipped": share}

    def actor_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """-Q_1(s, π(s)), and the diversity penalty."""
        pi = self.policy(batch.observation)
        q = self.critics(batch.observation, pi, count=1)[0]
        return -q.mean() + self.likeness(pi), {"value_policy": q.mean()}

    @property
    def actor_is_due(self) -> bool:
        """Whether this step is the actor's too."""
        return self.steps % self.config.policy_delay == 0

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the critics; every `policy_delay`-th also of the actor.

        Raises:
            LearnerError: the batch holds a number that is not finite, or a reward beyond its bounds.
        """
        self.check(batch)
        metrics = self.step_critics(batch)
        self.steps += 1
        if self.actor_is_due:
            with frozen(self.critics):
                self.step_actor(batch)
        return metrics | self.actor_metrics

    def step_critics(self, batch: Batch) -> dict[str, Tensor]:
        """One clipped step of the critics towards y."""
        with torch.no_grad():
            y = self.noisy_target(batch)
        loss, metrics = self.critic_loss(batch, y)
        self.critic_optimiser.zero_grad()
        loss.backward()
        norm = self.critic_optimiser.step()
        clipped = (norm > self.critic_optimiser.max_gradient_norm).float()
        found = {"critic_loss": loss, "critic_gradient_norm": norm, "critic_steps_clipped": clipped} | metrics
        return {name: value.detach() for name, value in found.items()}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """As the actor's, with the critics' loss against the target without noise."""
        actor = super().losses(batch)
        with torch.no_grad():
            loss, metrics = self.critic_loss(batch, self.target(batch))
        return {"critic_loss": loss} | metrics | actor

    def values(self, batch: Batch) -> dict[str, Tensor]:
        """Per transition, (B,): the mean critic's value of the logged action, Q_1 of the policy's, the target y."""
        with torch.no_grad():
            return {
                "logged": self.critics(batch.observation, batch.action).mean(0),
                "policy": self.critics(batch.observation, self.policy(batch.observation))[0],
                "target": self.within_bounds(self.target(batch)),
            }

    def restart(self, optimiser: OptimiserName) -> None:
        """As the actor's, the critics' too."""
        super().restart(optimiser)
        self.critic_optimiser = self._optimiser_of(self.critics, self.config.critic_learning_rate)

    def parts(self) -> dict[str, nn.Module | Optimiser]:
        """With critics."""
        return super().parts() | {"critics": self.critics, "critic_optimiser": self.critic_optimiser}


class TargetActorCritic(ActorCritic):
    """With slow copies π' and Q_i' of the networks, which targets y are made of (Lillicrap et al. 2016, §3)."""

    def __init__(self, config: ActorCriticConfig, space: Space, device: torch.device, seed: int) -> None:
        super().__init__(config, space, device, seed)
        self.target_policy = deepcopy(self.policy).requires_grad_(False)
        self.target_critics = deepcopy(self.critics).requires_grad_(False)

    def move_targets(self, rate: float) -> None:
        """θ' ← (1 - τ) θ' + τ θ, for the actor and all critics."""
        move_towards(self.target_policy, self.policy, rate)
        move_towards(self.target_critics, self.critics, rate)

    def parts(self) -> dict[str, nn.Module | Optimiser]:
        """With targets."""
        return super().parts() | {"target_policy": self.target_policy, "target_critics": self.target_critics}


def target_bounds(config: ActorCriticConfig, space: Space) -> tuple[float, float] | None:
    """What targets are clipped to, if anything."""
    if not isinstance(config, TemporalDifferenceConfig):
        return None
    return space.returns(config.discount) if config.target_bounds == "returns" else config.target_bounds
