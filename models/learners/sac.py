"""Soft actor-critic on logged transitions (Haarnoja et al. 2018, arXiv:1801.01290 and 1812.05905).

The policy that is validated and published acts by the mean: a = max_action tanh(μ(s)).
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from models.batch import Batch
from models.learners.actor_critic import TargetCritics
from models.learners.config import LowRatesConfig, TargetConfig
from models.learners.entry import LearnerEntry
from models.networks import Actor
from models.space import Space
from models.squashed_gaussian import SquashedGaussian


class SoftConfig(TargetConfig):
    """Hyper-parameters of learners with a Gaussian actor; sources in brackets."""

    initial_temperature: float = Field(
        1.0, gt=0, le=1000, description="α at the start, the weight of the entropy against the value [d3rlpy, CORL]."
    )
    temperature_learning_rate: float = Field(3e-4, gt=0, le=0.1, description="Learning rate of α [2018, table 1].")
    target_entropy: float = Field(
        -1.0,
        ge=-10,
        le=0.69,
        description="The policy's entropy that α is adjusted to, per coordinate of the action and in units of max_action "
        "[2018, app. D]; a uniform policy has 0.69.",
    )


class SACConfig(LowRatesConfig, SoftConfig):
    """Hyper-parameters; sources in brackets."""

    name: Literal["sac"] = "sac"
    target_bounds: tuple[float, float] | Literal["returns"] | None = Field(
        None,
        description="Targets y are clipped to these; none: not clipped. The value of the entropy is part of y, so that the "
        "returns do not bound it.",
    )


class Temperature(nn.Module):
    """α > 0, kept as log α."""

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor(initial).log())

    def forward(self) -> Tensor:
        """α, 0-d."""
        return self.log_alpha.exp()


class SAC(TargetCritics):
    """Two critics and a Gaussian actor; both count the policy's entropy beside the reward, with a learnt weight α."""

    config: SoftConfig
    policy: Actor
    critic_count = 2

    def __init__(self, config: SoftConfig, space: Space, device: torch.device, seed: int) -> None:
        super().__init__(config, space, device, seed)
        self.gaussian = SquashedGaussian(self.policy).to(device)
        self.temperature = Temperature(config.initial_temperature).to(device)
        self.target_entropy = config.target_entropy * space.action_dim
        self.optimise("actor", self.gaussian, config.actor_learning_rate)
        self.optimise("temperature", self.temperature, config.temperature_learning_rate)

    def noise(self, like: Tensor) -> Tensor:
        """ε ~ N(0, 1) of the shape of `like`."""
        return torch.randn(like.shape, generator=self.generator, device=self.device, dtype=like.dtype)

    def target(self, batch: Batch) -> Tensor:
        """The target y = r + γ (1 - d) (min(Q1', Q2')(s', a') - α log π(a'|s')), (B,), a' ~ π(s'), 1812.05905, eq. 2 and 3."""
        mean, std = self.gaussian(batch.next_observation)
        action, log_density = self.gaussian.squashed(mean, std, self.noise(mean))
        q_next = self.target_critics(batch.next_observation, action).amin(0)
        return self.bootstrapped(batch, q_next - self.temperature() * log_density)

    def actor_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean (α log π(a|s) - min(Q1, Q2)(s, a)), a ~ π(s), 1812.05905, eq. 9, plus the diversity penalty."""
        mean, std = self.gaussian(batch.observation)
        action, log_density = self.gaussian.squashed(mean, std, self.noise(mean))
        q = self.critics(batch.observation, action).amin(0)
        loss = (self.temperature().detach() * log_density - q).mean() + self.likeness(self.policy.bounded(mean))
        return loss, {"value_policy": q.mean(), "log_density": log_density.mean()}

    def temperature_loss(self, log_density: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """-α (log π + H̄), 1812.05905, eq. 18, of the mean log π(a|s), 0-d: α grows while the entropy is below H̄."""
        alpha = self.temperature()
        return -alpha * (log_density.detach() + self.target_entropy), {"temperature": alpha}

    def step_actor(self, batch: Batch) -> None:
        """Take one step of the actor, then one of α."""
        super().step_actor(batch)
        loss, metrics = self.temperature_loss(self.actor_metrics["log_density"])
        self.actor_metrics |= self.descend("temperature", loss, metrics)

    def all_losses(self, batch: Batch) -> dict[str, Tensor]:
        """As the actor-critics', and the loss of α."""
        found = super().all_losses(batch)
        loss, metrics = self.temperature_loss(found["log_density"])
        return {"temperature_loss": loss} | metrics | found

    def networks(self) -> dict[str, nn.Module]:
        """As the actor-critics', with the layer of log σ, and α."""
        return super().networks() | {"log_std": self.gaussian.log_std, "temperature": self.temperature}


ENTRY = LearnerEntry(
    SACConfig,
    SAC,
    summary="Two critics and a random policy, whose entropy is added to the reward; recommendations come from the mean action.",
    paper="Haarnoja et al. 2018, arXiv:1801.01290, arXiv:1812.05905",
)
