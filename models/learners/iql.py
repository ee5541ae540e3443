"""Implicit Q-learning: the critics see logged actions only (Kostrikov et al. 2021).

The paper's policy is a Gaussian, fitted by its log-likelihood of the logged actions. The actors here are deterministic, for
which that is the weighted squared error, as in CORL's deterministic variant.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from models.batch import Batch
from models.learners.actor_critic import TargetCritics
from models.learners.config import TargetConfig
from models.learners.entry import LearnerEntry
from models.networks import StateValue
from models.space import Space


class IQLConfig(TargetConfig):
    """Hyper-parameters; sources in brackets. `critic_learning_rate` is also that of V, as in d3rlpy and CORL."""

    name: Literal["iql"] = "iql"
    expectile: float = Field(
        0.7,
        ge=0.5,
        lt=1,
        description="V(s) is this expectile of the logged actions' values [2021, app. B]: 0.5 is their mean, 1 would be the "
        "largest.",
    )
    temperature: float = Field(
        3.0,
        ge=0,
        le=1000,
        description="β, an inverse temperature: the weight of a logged action is exp(β A) [2021, app. B].",
    )
    max_weight: float = Field(100.0, gt=0, le=1e6, description="Bound of exp(β A) [d3rlpy, CORL].")


class IQL(TargetCritics):
    """Two critics Q, a value V that is an upper expectile of Q over logged actions, and a weighted imitation of them."""

    config: IQLConfig
    critic_count = 2

    def __init__(self, config: IQLConfig, space: Space, device: torch.device, seed: int) -> None:
        super().__init__(config, space, device, seed)
        self.value = StateValue(
            self.space.observation_dim,
            config.hidden_dim,
            config.critic_last_bound,
            config.precision,
            self.make_state_encoder(),
        ).to(device)
        self.optimise("value", self.value, config.critic_learning_rate)

    def target(self, batch: Batch) -> Tensor:
        """The target y = r + γ (1 - d) V(s'), (B,), eq. 6."""
        return self.bootstrapped(batch, self.value(batch.next_observation))

    def advantage(self, batch: Batch) -> Tensor:
        """A(s, a) = min(Q1', Q2')(s, a) - V(s), (B,); gradients flow to V only."""
        with torch.no_grad():
            q = self.target_critics(batch.observation, batch.action).amin(0)
        a: Tensor = q - self.value(batch.observation)
        return a

    def value_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean |τ - 1(A < 0)| A², the expectile regression of V, eq. 5."""
        a = self.advantage(batch)
        return ((self.config.expectile - (a < 0).to(a.dtype)).abs() * a.square()).mean(), {"advantage": a.mean()}

    def actor_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean exp(β A) (π(s) - a)², eq. 7, averaged over coordinates, plus the diversity penalty."""
        with torch.no_grad():
            weight = torch.exp(self.config.temperature * self.advantage(batch)).clamp(max=self.config.max_weight)
        pi = self.policy(batch.observation)
        error = (pi - batch.action).square().mean(1)
        clipped = (weight == self.config.max_weight).float().mean()
        metrics = {"imitation_error": error.mean(), "imitation_weight": weight.mean(), "weights_clipped": clipped}
        return (weight * error).mean() + self.likeness(pi), metrics

    def step_critics(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step of V, then one of the critics towards y."""
        metrics = self.descend("value", *self.value_loss(batch))
        return metrics | super().step_critics(batch)

    def all_losses(self, batch: Batch) -> dict[str, Tensor]:
        """As the actor-critics', and the loss of V."""
        found = super().all_losses(batch)
        loss, metrics = self.value_loss(batch)
        return {"value_loss": loss} | metrics | found

    def networks(self) -> dict[str, nn.Module]:
        """As the actor-critics', with V."""
        return super().networks() | {"value": self.value}


ENTRY = LearnerEntry(
    IQLConfig,
    IQL,
    summary="Imitates logged choices; those that critics of logged choices value more than usual have a larger weight.",
    paper="Kostrikov, Nair & Levine 2021, arXiv:2110.06169",
)
