"""Deep deterministic policy gradient on logged transitions (Lillicrap et al. 2016)."""

from typing import Literal

from pydantic import Field
from torch import Tensor

from models.batch import Batch
from models.learners import article
from models.learners.config import LowRatesConfig
from models.learners.entry import LearnerEntry
from models.learners.imitation import ImitatesFirst, ImitationConfig


class DDPGConfig(LowRatesConfig, ImitationConfig):
    """Hyper-parameters; sources in brackets."""

    name: Literal["ddpg"] = "ddpg"
    target_rate: float = Field(0.001, gt=0, le=1, description="τ of both target networks, at every step [2016, §7].")


class DDPG(ImitatesFirst):
    """The critic bootstraps from target networks, which move at every step."""

    config: DDPGConfig

    def target(self, batch: Batch) -> Tensor:
        """The target y = r + γ (1 - d) Q'(s', π'(s')), (B,), eq. 4."""
        s_next = batch.next_observation
        return self.bootstrapped(batch, self.target_critics(s_next, self.target_policy(s_next))[0])


ENTRY = LearnerEntry(
    DDPGConfig,
    DDPG,
    summary="Actor and critic with slowly moving target networks, which keep the critic's targets stable.",
    paper="Lillicrap et al. 2016, arXiv:1509.02971",
    article=article.TEMPORAL_DIFFERENCE | {"target_rate": 0.001},  # soft_tau
)
