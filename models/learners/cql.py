"""Conservative Q-learning, CQL(H) on top of SAC, as in the paper, d3rlpy and CORL (Kumar et al. 2020)."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from models.batch import Batch
from models.learners.entry import LearnerEntry
from models.learners.sac import SAC, SoftConfig


class CQLConfig(SoftConfig):
    """Hyper-parameters; sources in brackets."""

    name: Literal["cql"] = "cql"
    actor_learning_rate: float = Field(1e-4, gt=0, le=0.1, description="Learning rate of the actor [d3rlpy].")
    temperature_learning_rate: float = Field(1e-4, gt=0, le=0.1, description="Learning rate of α of SAC [d3rlpy].")
    conservative_weight: float = Field(
        5.0, ge=0, le=1000, description="α of CQL, the weight of the conservative gap [2020, app. F]; 0: SAC."
    )
    sampled_actions: int = Field(
        10,
        ge=1,
        le=1000,
        description="Actions drawn from each of three distributions to estimate log ∫ exp Q(s, a) da [2020, app. F].",
    )


class CQL(SAC):
    """SAC whose critics are also trained to lower the values of all actions and to raise those of logged ones."""

    config: CQLConfig

    def target(self, batch: Batch) -> Tensor:
        """The target y = r + γ (1 - d) min(Q1', Q2')(s', π(s')), (B,), of the mean action and without its entropy [d3rlpy]."""
        q_next = self.target_critics(batch.next_observation, self.policy(batch.next_observation)).amin(0)
        return self.bootstrapped(batch, q_next)

    def drawn(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Actions (B, 3N, D) and their log densities (B, 3N): N from π(s), N from π(s'), N uniform."""
        size = (len(batch.action), self.config.sampled_actions, self.space.action_dim)
        drawn = []
        for observation in (batch.observation, batch.next_observation):
            mean, std = (part.unsqueeze(1) for part in self.gaussian(observation))
            drawn.append(self.gaussian.squashed(mean, std, self.noise(mean.expand(size))))
        uniform = 2 * torch.rand(size, generator=self.generator, device=self.device, dtype=batch.action.dtype) - 1
        drawn.append((self.space.max_action * uniform, uniform.new_full(size[:2], -size[2] * math.log(2))))
        actions, log_densities = zip(*drawn, strict=True)
        return torch.cat(actions, 1), torch.cat(log_densities, 1)

    def critic_loss(self, batch: Batch, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Σ_i mean ((Q_i(s, a) - y)² + α (log ∫ exp Q_i(s, a') da' - Q_i(s, a))), eq. 4.

        The integral is the mean of exp Q(s, a') / density(a') over the drawn actions a' (appendix F).
        """
        loss, metrics = super().critic_loss(batch, y)
        with torch.no_grad():
            actions, log_densities = self.drawn(batch)
        q = self.critics.of_several(batch.observation, actions)
        log_integral = torch.logsumexp(q - log_densities, -1) - math.log(actions.shape[1])
        gap = log_integral.mean() - metrics["value_logged"]
        return loss + self.config.conservative_weight * self.critic_count * gap, metrics | {"conservative_gap": gap}


ENTRY = LearnerEntry(
    CQLConfig,
    CQL,
    summary="SAC with critics that are trained to value actions outside the log less than logged ones.",
    paper="Kumar et al. 2020, arXiv:2006.04779",
)
