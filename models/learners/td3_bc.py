"""TD3 with behaviour cloning, which keeps the actor near the logged actions (Fujimoto & Gu 2021)."""

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import mse_loss

from models.batch import Batch
from models.learners import td3
from models.learners.entry import LearnerEntry
from models.learners.td3 import TD3, TD3Config


class TD3BCConfig(TD3Config):
    """Hyper-parameters; sources in brackets."""

    name: Literal["td3_bc"] = "td3_bc"  # type: ignore[assignment]
    actor_learning_rate: float = Field(
        3e-4, gt=0, le=0.1, description="Learning rate of the actor [Fujimoto & Gu 2021, table 2]."
    )
    critic_learning_rate: float = Field(
        3e-4, gt=0, le=0.1, description="Learning rate of the critics [Fujimoto & Gu 2021, table 2]."
    )
    alpha: float = Field(
        2.5, gt=0, le=1000, description="α, the weight of the critic against imitation [Fujimoto & Gu 2021, §5]."
    )


class TD3BC(TD3):
    """TD3 whose actor also imitates the logged actions."""

    config: TD3BCConfig

    def actor_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """-λ Q1(s, π(s)) + (π(s) - a)², λ = α / mean |Q1|, eq. 5, plus the diversity penalty."""
        pi = self.policy(batch.observation)
        q = self.critics(batch.observation, pi, count=1)[0]
        scale = self.config.alpha / q.detach().abs().mean().clamp_min(1e-6)
        error = mse_loss(pi, batch.action)
        return -scale * q.mean() + error + self.likeness(pi), {"value_policy": q.mean(), "imitation_error": error}


ENTRY = LearnerEntry(
    TD3BCConfig,
    TD3BC,
    summary="TD3 whose actor is kept near the logged choices.",
    paper="Fujimoto & Gu 2021, arXiv:2106.06860",
    article=td3.ENTRY.article,  # the article has no TD3+BC; these are its settings of TD3
)
