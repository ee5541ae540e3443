"""The terms of a ranking policy's score, and their weights."""

from collections.abc import Iterator
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from models.serve_for import ServeFor

Term = Literal["actor", "popularity", "transitions", "associations", "content", "taste", "recent_popularity"]
TERMS: tuple[Term, ...] = get_args(Term)
LEARNT_TERMS = TERMS[:2]  # of which training sets factors, and which every ranking policy has
MOST = 1e9
MOST_CRITIC_WEIGHT = 100  # far above 1 the critics alone order the best candidates


class TermWeights(BaseModel):
    """How much each term of the score counts; a term with weight 0 is not computed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actor: float = Field(0.0, ge=0, le=MOST, description="z π(s)·(e + u), the learnt action.")
    popularity: float = Field(0.0, ge=0, le=MOST, description="p log(1 + training events), p learnt.")
    transitions: float = Field(0.0, ge=0, le=MOST, description="Which items follow the latest ones.")
    associations: float = Field(0.0, ge=0, le=MOST, description="Which items the same users rated, in any order.")
    content: float = Field(0.0, ge=0, le=MOST, description="Similarity of the embedding to those of the latest items.")
    taste: float = Field(0.0, ge=0, le=MOST, description="Mean similarity to the embeddings of the whole history.")
    recent_popularity: float = Field(0.0, ge=0, le=MOST, description="log(1 + training events among the latest).")
    cold: float = Field(0.0, ge=-MOST, le=MOST, description="Added to the score of items without training events.")
    critic: float = Field(
        0.0,
        ge=0,
        le=MOST_CRITIC_WEIGHT,
        description="The critics' value against the score in re-ranking the best candidates, both standardised.",
    )

    def used(self) -> Iterator[tuple[Term, float]]:
        """The terms that count, with their weights."""
        for term in TERMS:
            if weight := getattr(self, term):
                yield term, weight


UNTUNED = TermWeights(actor=1.0, popularity=1.0)


class TunedWeights(BaseModel):
    """The weights for one question, and how they do on the validation cases that ask it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    question: ServeFor
    shares: dict[str, float] = Field(
        description="By term, its share of the score: weight times standard deviation over items, as a share of their sum."
    )
    critic: float = Field(description="Weight of the critics' value in re-ranking.")
    cold: float = Field(description="Offset of items without training events, in standard deviations of the score.")
    metric: str = Field(description="The metric that the weights were chosen by.")
    value: float = Field(description="That metric on validation users.")
    cold_shown: float = Field(description="Share of items without training events in the first ten.")
    cold_sought: float = Field(description="Share of items without training events among the choices.")
    cases: int
    users: int
    same_as: ServeFor | None = Field(
        None, description="The question whose weights these are, if too few validation users ask this one."
    )

    @property
    def learnt(self) -> float:
        """The learnt action's share of the score."""
        return self.shares.get("actor", 0.0)
