"""What is asked of a recommender, and what it answers; the command line, the HTTP API and Python share these."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from evaluation.protocols.distances import Distance
from models.serve_for import ServeFor
from models.term_weights import MOST_CRITIC_WEIGHT

MOST_EVENTS = 1000  # of a history
MOST_ITEMS = 1000  # k
ItemId = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Rated(BaseModel):
    """One rating of a history."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    movie_id: ItemId = Field(description="The item's id in its source.")
    rating: float = Field(allow_inf_nan=False, description="On the scale of the policy's ratings: see GET /policies.")


class Question(BaseModel):
    """A history and what to recommend for it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"history": [{"movie_id": 1, "rating": 5.0}], "k": 10}]},
    )

    history: tuple[Rated, ...] = Field(
        (), max_length=MOST_EVENTS, description="The user's ratings, the oldest first. Empty: the most popular items."
    )
    k: int = Field(10, ge=1, le=MOST_ITEMS, description="The number of items to recommend.")
    method: str | None = Field(
        None,
        max_length=200,
        description="A policy or a baseline by name: see GET /policies. Default: the first policy.",
    )
    serve_for: ServeFor = Field(
        "next",
        description="What the list is for: next, later, what is liked, or new items; see docs/methods.md. Only ranking "
        "policies have weights for each; other methods rank the same for all.",
    )
    distance: Distance | None = Field(
        None, description="Rank by this distance to the policy's action instead of by its scores."
    )
    critic_weight: float | None = Field(
        None,
        ge=0,
        le=MOST_CRITIC_WEIGHT,
        allow_inf_nan=False,
        description="How much the critics' value counts against the score in re-ranking the best items, both standardised; "
        "0: not at all. Default: as much as the policy's tuning chose. Only for policies with critics.",
    )
    genres: tuple[Annotated[str, Field(max_length=100)], ...] = Field(
        (), max_length=50, description="Recommend only items with one of these genres."
    )
    year_from: int | None = Field(None, ge=0, le=9999, description="Recommend only items of this year or later.")
    year_to: int | None = Field(None, ge=0, le=9999, description="Recommend only items of this year or earlier.")
    exclude: tuple[ItemId, ...] = Field(
        (), max_length=MOST_EVENTS, description="Ids that are not recommended, beside those of the history."
    )
    diversity: float = Field(
        0.0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="λ of maximal marginal relevance: 0 orders by score alone, 1 by difference to the items before alone.",
    )


class Reason(BaseModel):
    """A rated item that is near to a recommended one."""

    movie_id: int
    title: str
    rating: float
    similarity: float = Field(description="Cosine of the two embeddings.")


class Recommendation(BaseModel):
    """One recommended item."""

    movie_id: int
    title: str
    year: int | None
    genres: tuple[str, ...]
    score: float = Field(
        description="Of the method that ranked it; only the order of one answer's scores means something."
    )
    value: float | None = Field(
        description="The expected return of recommending it, by the policy's critics, if it has any."
    )
    because: tuple[Reason, ...] = Field(description="The nearest rated items, among liked ones if there are any.")


class Answer(BaseModel):
    """The recommended items, the best first."""

    method: str = Field(description="What ranked the items.")
    digest: str | None = Field(description="The policy's digest.")
    items: tuple[Recommendation, ...]
    unknown_ids: tuple[int, ...] = Field(
        description="Ids of the history that the catalogue does not have; they are ignored."
    )
    note: str | None = Field(description="Why another method than the one that was asked for ranked the items.")
