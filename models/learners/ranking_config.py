"""Hyper-parameters of the learners that rank; sources in brackets."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.kernels import KernelConfig
from models.optimisers import OptimiserConfig
from models.ranking_policy import RankingPolicyConfig
from models.states import StateName


class RankingConfig(BaseModel):
    """Hyper-parameters; sources in brackets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["ranking"] = "ranking"
    policy: RankingPolicyConfig = Field(RankingPolicyConfig(), description="State, weights of the terms, critic's say.")
    kernel: KernelConfig = Field(KernelConfig(), description="How the transition kernel is fit before training.")
    sequences: int = Field(16, ge=1, le=4096, description="B, pieces of histories in one update.")
    negatives: int = Field(
        1000,
        ge=10,
        le=100_000,
        description="Items drawn for a batch's softmax [Jean et al. 2015]; a catalogue no larger is used whole.",
    )
    learning_rate: float = Field(5e-4, gt=0, le=0.1, description="Of the actor.")
    mixture_rate: float = Field(2e-2, gt=0, le=1, description="Of the two factors between the learnt terms.")
    critic_learning_rate: float = Field(3e-4, gt=0, le=0.1, description="Of the critics [Fujimoto & Gu 2021, table 2].")
    item_decay: float = Field(1e-3, ge=0, le=1, description="Pulls the items' own vectors to 0, by AdamW.")
    reward_weight: float = Field(
        0.0,
        ge=0,
        le=10,
        description="An event weighs exp(it × reward / highest reward) in the cross-entropy; 0: all alike.",
    )
    value_weight: float = Field(
        0.0, ge=0, le=100, description="λ of -Q1(s, π(s)) / mean |Q1| in the actor's loss; 0: none."
    )
    discount: float = Field(0.9, ge=0, lt=1, description="γ; a choice of now says little of the hundredth after it.")
    target_rate: float = Field(0.005, gt=0, le=1, description="τ of all targets [Fujimoto et al. 2018, table 3].")
    policy_delay: int = Field(2, ge=1, le=100, description="Steps for each step of the targets [2018, §5.2].")
    target_noise: float = Field(
        0.1, ge=0, le=2, description="σ of the smoothing noise, in units of D^-½: its length beside an action's [§5.3]."
    )
    noise_clip: float = Field(0.5, ge=0, le=5, description="c, the noise's bound, in the same units [§5.3].")
    optimiser: OptimiserConfig = Field(
        OptimiserConfig(name="adamw", max_gradient_norm=5.0), description="Kind, schedule, clipping."
    )

    @property
    def has_critics(self) -> bool:
        """Whether critics have a say anywhere, and so are learnt."""
        return self.policy.critic_candidates > 0 or self.value_weight > 0


class LearntTermConfig(RankingPolicyConfig):
    """A ranking policy of the learnt term alone: no fitted terms, free item vectors, no critic's say."""

    transitions: float = Field(0.0, ge=0, le=0, description="None.")
    content: float = Field(0.0, ge=0, le=0, description="None.")
    embeddings: bool = Field(False, description="Whether items' vectors begin as their embeddings, or at random.")
    critic_candidates: int = Field(0, ge=0, le=0, description="None.")


class AttentionTermConfig(LearntTermConfig):
    """The same on self-attention."""

    state: StateName = Field("attention", description="State encoder: frame, gru or attention.")


class Gru4RecConfig(RankingConfig):
    """GRU4Rec (Hidasi et al. 2016) by the same trainer: no fitted terms, no content, no critic's say."""

    name: Literal["gru4rec"] = "gru4rec"  # type: ignore[assignment]
    policy: LearntTermConfig = Field(LearntTermConfig(), description="State and width.")


class SasRecConfig(RankingConfig):
    """SASRec (Kang & McAuley 2018) by the same trainer: no fitted terms, no content, no critic's say."""

    name: Literal["sasrec"] = "sasrec"  # type: ignore[assignment]
    policy: AttentionTermConfig = Field(AttentionTermConfig(), description="State and width.")
