"""Base of the actor-critic learners: the critics, their gradient step, the actor's loss, the target networks."""

from copy import deepcopy
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from models.batch import Batch
from models.checks import BatchCheck
from models.errors import LearnerError
from models.learners.actor import ActorLearner
from models.learners.config import ActorCriticConfig, TargetConfig, TemporalDifferenceConfig
from models.nearest import Similarity
from models.networks import Critics, frozen, move_towards
from models.policy import ActingModule, Policy
from models.space import Space


class ActorCritic(ActorLearner):
    """An actor and n critics Q_i(s, a). A learner defines the target y that the critics regress."""

    config: ActorCriticConfig
    critic_count: ClassVar[int] = 1

    def __init__(self, config: ActorCriticConfig, space: Space, device: torch.device, seed: int) -> None:
        super().__init__(config, space, device, seed)
        self.critics = Critics(
            self.critic_count,
            self.space.observation_dim,
            self.space.action_dim,
            config.hidden_dim,
            config.critic_last_bound,
            config.precision,
            self.make_state_encoder(),
        ).to(device)
        self.optimise("critic", self.critics, config.critic_learning_rate)
        self.target_bounds: tuple[float, float] | None = None

    @property
    def acting(self) -> nn.Module:
        """The actor and the critics, which value what it recommends."""
        return nn.ModuleDict({"actor": self.policy, "critics": self.critics})

    def recommender(self, embedding: Tensor, similarity: Similarity) -> Policy:
        """The policy over items (I, D), re-ranked by the critics if `critic_candidates` says so."""
        return Policy(
            cast(ActingModule, self.policy), embedding, similarity, self.critics, self.config.critic_candidates
        )

    def target(self, batch: Batch) -> Tensor:
        """The target y of Q(s, a), (B,); called without gradient."""
        raise NotImplementedError

    def noisy_target(self, batch: Batch) -> Tensor:
        """The target in training; learners that add noise to it override this."""
        return self.target(batch)

    def within_bounds(self, y: Tensor) -> Tensor:
        """Targets y (B,), clipped to `target_bounds` if there are any."""
        return y if self.target_bounds is None else y.clamp(*self.target_bounds)

    def critic_loss(self, batch: Batch, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Σ_i mean (Q_i(s, a) - y)², y clipped to its bounds."""
        clipped = self.within_bounds(y)
        q = self.critics(batch.observation, batch.action)
        loss = (q - clipped).square().mean(1).sum()
        share = (clipped != y).float().mean()
        return loss, {"value_logged": q.mean(), "value_target": clipped.mean(), "targets_clipped": share}

    def actor_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """-Q_1(s, π(s)) plus the diversity penalty."""
        pi = self.policy(batch.observation)
        q = self.critics(batch.observation, pi, count=1)[0]
        return -q.mean() + self.likeness(pi), {"value_policy": q.mean()}

    @property
    def actor_is_due(self) -> bool:
        """Whether the actor moves at this step too."""
        return self.steps % self.config.policy_delay == 0

    def move_targets(self) -> None:
        """Move the target networks, if there are any; called after every step."""

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step of the critics, every `policy_delay`-th time also of the actor, then of the target networks.

        Raises:
            LearnerError: the batch holds a number that is not finite, or a reward outside its bounds.
        """
        self.check(batch)
        metrics = self.step_critics(batch)
        self.steps += 1
        if self.actor_is_due:
            with frozen(self.critics):
                self.step_actor(batch)
        self.move_targets()
        return metrics | self.actor_metrics

    def step_critics(self, batch: Batch) -> dict[str, Tensor]:
        """Take one clipped step of the critics towards y."""
        with torch.no_grad():
            y = self.noisy_target(batch)
        return self.descend("critic", *self.critic_loss(batch, y))

    def all_losses(self, batch: Batch) -> dict[str, Tensor]:
        """As the actor's, and the critics' loss against the target without noise."""
        actor = super().all_losses(batch)
        loss, metrics = self.critic_loss(batch, self.target(batch))
        return {"critic_loss": loss} | metrics | actor

    def values(self, batch: Batch, actions: Tensor) -> dict[str, Tensor]:
        """The critics' mean of the logged action, Q_1 of the policy's, the target y."""
        return {
            "logged": self.critics(batch.observation, batch.action).mean(0),
            "policy": self.critics(batch.observation, actions)[0],
            "target": self.within_bounds(self.target(batch)),
        }

    def networks(self) -> dict[str, nn.Module]:
        """As the actor's, with the critics."""
        return super().networks() | {"critics": self.critics}


class TemporalDifference(ActorCritic):
    """An actor-critic whose critics bootstrap from the state after n steps."""

    config: TemporalDifferenceConfig

    def __init__(self, config: TemporalDifferenceConfig, space: Space, device: torch.device, seed: int) -> None:
        super().__init__(config, space, device, seed)
        lowest, highest = space.returns(config.discount, config.n_step)
        self.check = BatchCheck(space._replace(lowest_reward=lowest, highest_reward=highest), device)
        bounds = config.target_bounds
        self.target_bounds = space.returns(config.discount) if bounds == "returns" else bounds

    @property
    def look_ahead(self) -> tuple[int, float]:
        """Steps of a transition, and their discount."""
        return self.config.n_step, self.config.discount

    def bootstrapped(self, batch: Batch, value: Tensor) -> Tensor:
        """The target y = r + γ (1 - d) v, (B,), of values v (B,) of s'; of n steps Σ_{k<n} γᵏ r_{t+k} + γⁿ (1 - d) v.

        Raises:
            LearnerError: the learner's `n_step` is not 1, and the batch has single steps.
        """
        self._need_n_steps(batch)
        discount = self.config.discount if batch.discount is None else batch.discount
        y: Tensor = batch.reward + discount * (1 - batch.terminal) * value
        return y

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """As the actor-critic's.

        Raises:
            LearnerError: also if the learner's `n_step` is not 1, and the batch has single steps.
        """
        self._need_n_steps(batch)  # before any network has moved
        return super().update(batch)

    def _need_n_steps(self, batch: Batch) -> None:
        if batch.discount is None and self.config.n_step > 1:
            raise LearnerError(
                f"batch: expected transitions of n_step = {self.config.n_step} steps; found single steps. Make batches with "
                "the learner's `gather` from a TransitionDataset, which is in memory; a stream yields single steps, for "
                "which n_step is 1."
            )


class TargetCritics(TemporalDifference):
    """An actor-critic with target critics Q_i', slowly moving copies (Mnih et al. 2015; Lillicrap et al. 2016, §3)."""

    config: TargetConfig

    def __init__(self, config: TargetConfig, space: Space, device: torch.device, seed: int) -> None:
        super().__init__(config, space, device, seed)
        self.target_critics = deepcopy(self.critics).requires_grad_(False)

    def move_targets(self) -> None:
        """θ' ← (1 - τ) θ' + τ θ, for all critics."""
        move_towards(self.target_critics, self.critics, self.config.target_rate)

    def networks(self) -> dict[str, nn.Module]:
        """As the actor-critic's, with the target critics."""
        return super().networks() | {"target_critics": self.target_critics}


class TargetActorCritic(TargetCritics):
    """The same with a target actor π' (Lillicrap et al. 2016, §3)."""

    def __init__(self, config: TargetConfig, space: Space, device: torch.device, seed: int) -> None:
        super().__init__(config, space, device, seed)
        self.target_policy = deepcopy(self.policy).requires_grad_(False)

    def move_targets(self) -> None:
        """θ' ← (1 - τ) θ' + τ θ, for the actor and all critics."""
        super().move_targets()
        move_towards(self.target_policy, self.policy, self.config.target_rate)

    def networks(self) -> dict[str, nn.Module]:
        """As above, with the target actor."""
        return super().networks() | {"target_policy": self.target_policy}
