"""Hyper-parameters that several learners share; sources in brackets."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.learners.diversity import DiversityMeasure
from models.networks import Precision
from models.optimisers import OptimiserConfig
from models.ranking_network import RankerConfig
from models.ranking_policy_config import RankingPolicyConfig
from models.windows import StateConfig

NStep = Annotated[
    int,
    Field(
        ge=1,
        le=100,
        description="n, logged rewards that are summed before the critics' value of the state after them is added [TD(n); "
        "Sutton & Barto 2018, §7.1].",
    ),
]


class LearnerConfig(BaseModel):
    """Base of all learners' hyper-parameters; a learner's own config says its `name`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str


class SequenceConfig(LearnerConfig):
    """Hyper-parameters of learners from sequences, all of which have a `RankingPolicy`."""

    policy: RankingPolicyConfig = Field(
        RankingPolicyConfig(), description="State, weights of the terms, weight of the critic."
    )
    sequences: int = Field(16, ge=1, le=4096, description="B, sequences per update.")
    draw: Literal["transitions", "windows"] = Field(
        "transitions",
        description="transitions: a sequence ends at any training transition, so users with long histories count most. windows: "
        "histories are cut from their end into sequences of `policy.length` actions, so all actions count alike.",
    )
    negatives: int = Field(
        1000,
        ge=10,
        le=100_000,
        description="Items sampled for a batch's softmax [Jean et al. 2015]; a smaller catalogue is scored whole.",
    )
    learning_rate: float = Field(5e-4, gt=0, le=0.1, description="Learning rate of the actor.")
    mixture_rate: float = Field(2e-2, gt=0, le=1, description="Learning rate of the two factors of the learnt terms.")
    item_decay: float = Field(1e-3, ge=0, le=1, description="Weight decay of the items' own vectors, by AdamW.")
    optimiser: OptimiserConfig = Field(
        OptimiserConfig(name="adamw", max_gradient_norm=5.0), description="Kind, schedule, clipping."
    )

    @property
    def item_optimiser(self) -> OptimiserConfig:
        """`optimiser` with the weight decay of the items' own vectors."""
        return self.optimiser.model_copy(update={"weight_decay": self.item_decay})


class ActorConfig(LearnerConfig):
    """Hyper-parameters of learners from transitions, all of which have an actor."""

    state: StateConfig = Field(StateConfig(), description="What the networks observe.")
    actor_learning_rate: float = Field(
        3e-4, gt=0, le=0.1, description="Learning rate of the actor [Fujimoto & Gu 2021, table 2]."
    )
    hidden_dim: int = Field(
        256, ge=4, le=4096, description="Width of both hidden layers [Fujimoto et al. 2018, app. C]."
    )
    actor_last_bound: float | None = Field(
        None,
        gt=0,
        le=10,
        description="The actor's last layer is initialised uniformly within ± this [RecNN, init_w]; none: torch's default.",
    )
    diversity: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Weight of the penalty on similar actions within a batch [the article's future work].",
    )
    diversity_measure: DiversityMeasure = Field(
        "cosine", description="Penalise the mean pairwise cosine similarity, or reward the mean pairwise distance."
    )
    precision: Precision = Field(
        "float32",
        description="Precision of the networks' matrix products in training; weights, losses and optimisers stay float32. bfloat16 "
        "is faster on processors with AMX and on GPUs; measure with benchmarks/td3.py.",
    )
    optimiser: OptimiserConfig = Field(OptimiserConfig(), description="Kind, schedule, weight decay, clipping.")
    ranker: RankerConfig = Field(RankerConfig(), description="A network that re-ranks the items nearest to the action.")


class ActorCriticConfig(ActorConfig):
    """Hyper-parameters of learners with critics."""

    critic_learning_rate: float = Field(
        3e-4, gt=0, le=0.1, description="Learning rate of the critics [Fujimoto & Gu 2021, table 2]."
    )
    critic_last_bound: float | None = Field(
        None,
        gt=0,
        le=10,
        description="The critics' last layers are initialised uniformly within ± this [RecNN, init_w]; none: torch's default.",
    )
    policy_delay: int = Field(
        1, ge=1, le=100, description="Critic steps per actor step [Fujimoto et al. 2018, §5.2; RecNN, policy_step]."
    )
    critic_candidates: int = Field(
        0,
        ge=0,
        le=1000,
        description="The critics re-rank this many items nearest to the action [Dulac-Arnold et al. 2015, §4]; 0: none.",
    )
    candidate_grid: tuple[Annotated[int, Field(ge=0, le=1000)], ...] = Field(
        (),
        max_length=10,
        description="Other numbers of re-ranked items: after training, the number that is best by the selection criterion is kept.",
    )

    @model_validator(mode="after")
    def _a_grid_needs_critics(self) -> Self:
        if self.candidate_grid and self.critic_candidates == 0:
            raise ValueError(
                "candidate_grid: expected critics that re-rank; found critic_candidates = 0. Set critic_candidates to the "
                "number of items that they re-rank in training's validations."
            )
        return self

    @model_validator(mode="after")
    def _one_re_ranks(self) -> Self:
        if self.critic_candidates > 0 and self.ranker.candidates > 0:
            raise ValueError(
                f"expected critic_candidates or ranker.candidates, because one of them re-ranks; found {self.critic_candidates} "
                f"and {self.ranker.candidates}. Set one of them to 0."
            )
        return self


class LowRatesConfig(ActorCriticConfig):
    """Lower learning rates for actors that follow a critic alone: at the papers' rates they rank at the level of chance."""

    actor_learning_rate: float = Field(1e-5, gt=0, le=0.1, description="Learning rate of the actor [RecNN, policy_lr].")
    critic_learning_rate: float = Field(
        1e-5, gt=0, le=0.1, description="Learning rate of the critics [RecNN, value_lr]."
    )


class TemporalDifferenceConfig(ActorCriticConfig):
    """Hyper-parameters of learners whose critics bootstrap."""

    discount: float = Field(
        0.99, ge=0, lt=1, description="γ [Lillicrap et al. 2016, §7; Fujimoto et al. 2018, table 3]."
    )
    target_bounds: tuple[float, float] | Literal["returns"] | None = Field(
        "returns",
        description="Targets y are clipped to these [RecNN: min_value, max_value]; returns: to the least and greatest sum of "
        "discounted rewards, which no true value exceeds; none: not clipped.",
    )
    n_step: NStep = 1

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> "TemporalDifferenceConfig":
        if isinstance(self.target_bounds, tuple) and not self.target_bounds[0] < self.target_bounds[1]:
            raise ValueError(
                f"target_bounds: expected [least, greatest]; found {list(self.target_bounds)}. Give the smaller one first."
            )
        return self


class TargetConfig(TemporalDifferenceConfig):
    """Hyper-parameters of learners with target networks."""

    target_rate: float = Field(
        0.005,
        gt=0,
        le=1,
        description="τ, the rate at which target networks follow [Fujimoto et al. 2018, table 3; Haarnoja et al. 2018, table 1; "
        "Fujimoto et al. 2019, §5.1; Kostrikov et al. 2021, app. B].",
    )
