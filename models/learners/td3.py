"""Twin delayed DDPG on logged transitions (Fujimoto et al. 2018)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from models.batch import Batch
from models.learners import article
from models.learners.config import LowRatesConfig
from models.learners.entry import LearnerEntry
from models.learners.imitation import ImitatesFirst, ImitationConfig


class TD3Config(LowRatesConfig, ImitationConfig):
    """Hyper-parameters; sources in brackets."""

    name: Literal["td3"] = "td3"
    policy_delay: int = Field(2, ge=1, le=100, description="Critic steps per actor step [2018, §5.2].")
    target_noise: float = Field(
        0.2, ge=0, le=2, description="σ of the target policy's noise, in units of max_action [2018, §5.3]."
    )
    noise_clip: float = Field(0.5, ge=0, le=5, description="c, the noise's bound, in units of max_action [2018, §5.3].")


class TD3(ImitatesFirst):
    """Two critics, of which the smaller value counts; noisy target actions; delayed steps of the actor and the targets."""

    config: TD3Config
    critic_count = 2

    def target(self, batch: Batch) -> Tensor:
        """The target y without noise, (B,)."""
        return self.backup(batch, self.target_policy(batch.next_observation))

    def noisy_target(self, batch: Batch) -> Tensor:
        """The target y, (B,), of ã = clip(π'(s') + clip(ε, -c, c), -max, max), ε ~ N(0, σ), eq. 14."""
        limit = self.space.max_action
        noise = torch.randn(batch.action.shape, generator=self.generator, device=self.device) * self.config.target_noise
        noise = noise.clamp(-self.config.noise_clip, self.config.noise_clip) * limit
        return self.backup(batch, (self.target_policy(batch.next_observation) + noise).clamp(-limit, limit))

    def backup(self, batch: Batch, next_action: Tensor) -> Tensor:
        """The target y = r + γ (1 - d) min(Q1', Q2')(s', ã), (B,), eq. 10, of actions ã (B, D)."""
        return self.bootstrapped(batch, self.target_critics(batch.next_observation, next_action).amin(0))

    def move_targets(self) -> None:
        """Move the target networks when the actor has moved [2018, §5.2]."""
        if self.actor_is_due:
            super().move_targets()


ENTRY = LearnerEntry(
    TD3Config,
    TD3,
    summary="Two critics, whose smaller value is the target; noise on the target action; an actor that is updated at every second step.",
    paper="Fujimoto, van Hoof & Meger 2018, arXiv:1802.09477",
    article=article.TEMPORAL_DIFFERENCE
    | {
        "actor_last_bound": 0.25,
        "target_bounds": None,  # RecNN's TD3 does not clip
        "target_rate": 0.001,
        "target_noise": 0.5,  # noise_std
        "noise_clip": 3.0,
    },
)
