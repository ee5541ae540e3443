"""The parameters of a ranking policy: its state, its terms, its re-ranking."""

from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.serve_for import ServeFor
from models.states import StateName, need_whole_heads
from models.term_weights import LEARNT_TERMS, TERMS, Term, TermWeights


class RankingPolicyConfig(BaseModel):
    """State, terms and re-ranking of a ranking policy; the weights of the terms are tuned after training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: StateName = Field(
        "gru", description="State encoder: frame (the article's flat observation), gru or attention."
    )
    width: int = Field(128, ge=4, le=4096, description="H, width of a state.")
    length: int = Field(50, ge=2, le=1000, description="L, latest events of a history that the state is made of.")
    frame: int = Field(10, ge=1, le=1000, description="F, events in the state `frame`.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout of the coordinates of events and states in training.")
    fitted: bool = Field(
        True, description="Whether there are terms that are fitted in closed form, beside the learnt ones."
    )
    transitions_decay: float = Field(
        0.78, gt=0, lt=1, description="Weight of an event relative to that of the next later one, in transitions."
    )
    content_decay: float = Field(0.7, gt=0, lt=1, description="As for transitions, in the similarity of embeddings.")
    own_vectors: bool = Field(
        True, description="Whether items with training events learn a vector added to their embedding."
    )
    embeddings: bool = Field(True, description="Whether item vectors are initialised as the embeddings, or at random.")
    critic_width: int = Field(256, ge=4, le=4096, description="Width of the critics' hidden layers.")
    critic_candidates: int = Field(
        50, ge=0, le=1000, description="How many best items the critics re-rank; 0: none, and no weight is tuned."
    )

    @model_validator(mode="after")
    def _attention_splits_the_width(self) -> Self:
        need_whole_heads(self.state, self.width)
        return self

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms that there are."""
        return TERMS if self.fitted else LEARNT_TERMS


class StoredConfig(BaseModel):
    """All of a ranking policy but its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["marquee-ranking-policy/6"] = "marquee-ranking-policy/6"
    policy: RankingPolicyConfig = Field(description="State, terms and re-ranking.")
    weights: dict[ServeFor, TermWeights] = Field(description="The weights of the terms, by question.")
    largest_reward: float = Field(gt=0, le=1e19, description="The largest absolute reward there can be.")

    @model_validator(mode="after")
    def _every_question_has_weights(self) -> Self:
        if missing := set(get_args(ServeFor)) - set(self.weights):
            raise ValueError(
                f"weights: expected those of every question; found none of {sorted(missing)}. Train the policy again."
            )
        return self
