"""Hyper-parameters of the learners that rank; sources in brackets."""

from typing import Literal

from pydantic import Field

from models.kernels import KernelConfig
from models.learners.config import NStep, SequenceConfig
from models.ranking_policy_config import RankingPolicyConfig


class RankingConfig(SequenceConfig):
    """Hyper-parameters; sources in brackets."""

    name: Literal["ranking"] = "ranking"
    kernel: KernelConfig = Field(KernelConfig(), description="How the kernels are fit before training.")
    critic_learning_rate: float = Field(
        3e-4, gt=0, le=0.1, description="Learning rate of the critics [Fujimoto & Gu 2021, table 2]."
    )
    reward_weight: float = Field(
        0.0,
        ge=0,
        le=10,
        description="w: an event's weight in the cross-entropy is exp(w × reward / highest reward); 0: all alike.",
    )
    value_weight: float = Field(
        0.0, ge=0, le=100, description="λ of -Q1(s, π(s)) / mean |Q1| in the actor's loss; 0: none."
    )
    discount: float = Field(0.9, ge=0, lt=1, description="γ; choices far ahead depend little on the present one.")
    n_step: NStep = 1
    target_rate: float = Field(
        0.005, gt=0, le=1, description="τ of all target networks [Fujimoto et al. 2018, table 3]."
    )
    policy_delay: int = Field(2, ge=1, le=100, description="Updates per step of the target networks [2018, §5.2].")
    target_noise: float = Field(
        0.1,
        ge=0,
        le=2,
        description="σ of the target policy's noise, in units of D^-½, as actions have length 1 [§5.3].",
    )
    noise_clip: float = Field(0.5, ge=0, le=5, description="c, the noise's bound, in the same units [§5.3].")

    @property
    def has_critics(self) -> bool:
        """Whether critics are used, in the ranking or in the actor's loss, and so are trained."""
        return self.policy.critic_candidates > 0 or self.value_weight > 0


class LearntTermsConfig(RankingPolicyConfig):
    """A ranking policy of the learnt terms alone: no fitted terms, item vectors initialised at random, no critics."""

    fitted: Literal[False] = Field(False, description="There are no fitted terms.")
    embeddings: bool = Field(False, description="Whether item vectors are initialised as the embeddings, or at random.")
    critic_candidates: int = Field(0, ge=0, le=0, description="There are no critics.")
