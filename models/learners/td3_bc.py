"""TD3 with behaviour cloning: TD3 that does not stray to actions nobody logged (Fujimoto & Gu 2021)."""

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import mse_loss

from models.batch import Batch
from models.learners.td3 import TD3, TD3Config


class TD3BCConfig(TD3Config):
    """Hyper-parameters; sources in brackets."""

    name: Literal["td3_bc"] = "td3_bc"  # type: ignore[assignment]
    actor_learning_rate: float = Field(3e-4, gt=0, le=0.1, description="Of the actor [Fujimoto & Gu 2021, table 2].")
    critic_learning_rate: float = Field(3e-4, gt=0, le=0.1, description="Of the critics [Fujimoto & Gu 2021, table 2].")
    alpha: float = Field(
        2.5, gt=0, le=1000, description="α, the weight of the critic against imitation [Fujimoto & Gu 2021, §5]."
    )


class TD3BC(TD3):
    """TD3, its actor held near the logged actions."""

    config: TD3BCConfig

    def actor_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """-λ Q1(s, π(s)) + (π(s) - a)², λ = α / mean |Q1|, eq. 5, and the diversity penalty."""
        pi = self.policy(batch.observation)
        q = self.critics(batch.observation, pi, count=1)[0]
        scale = self.config.alpha / q.detach().abs().mean().clamp_min(1e-6)
        error = mse_loss(pi, batch.action)
        return -scale * q.mean() + error + self.likeness(pi), {"value_policy": q.mean(), "imitation_error": error}
