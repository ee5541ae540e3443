"""A trained policy: history → observation → action → a score for every item."""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, Protocol, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from models.histories import Histories, Scorer, flat_observation
from models.nearest import NearestItems, Similarity
from models.networks import Actor, Critics
from models.ranking_network import RankingNetwork
from models.stored_policy import need_tensors, parsed, unfit
from models.windows import HistoryEncoder, StoredState, latest, make_encoder
from models.wolpertinger import re_ranked


class PolicyConfig(BaseModel):
    """All of a policy but its tensors; the bounds are those of the learners' parameters, or wider."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["marquee-policy/3"] = "marquee-policy/3"
    state: StoredState | None = Field(description="State encoder; none: the observation is a frame.")
    observation_dim: int = Field(ge=2, le=1_000_000, description="S = F * D + F, or the width of an encoded state.")
    action_dim: int = Field(ge=1, le=4096, description="D.")
    hidden_dim: int = Field(ge=1, le=4096, description="Width of both hidden layers of the actor and the critics.")
    max_action: float = Field(gt=0, le=1e9, description="Bound of a coordinate of an action.")
    similarity: Similarity = Field(description="How actions rank items.")
    critics: int = Field(ge=0, le=64, description="Number of critics; 0: none.")
    critic_candidates: int = Field(ge=0, le=1_000_000, description="How many items they re-rank; 0: none.")
    ranker_candidates: int = Field(
        ge=0, le=1_000_000, description="How many items the ranking network re-ranks; 0: none."
    )

    @model_validator(mode="after")
    def _who_re_ranks_is_there(self) -> Self:
        if self.critic_candidates > 0 and (self.critics == 0 or self.ranker_candidates > 0):
            raise ValueError(
                f"expected critics, and no ranking network, that re-rank {self.critic_candidates} items; found others. "
                "Train the policy again."
            )
        return self


class Publishable(Scorer, Protocol):
    """A policy that can be stored: see `serving.stored_policies.load_policy`."""

    def act(self, histories: Histories) -> Tensor:
        """π(s): (B, D)."""

    def item_values(self, histories: Histories, items: Tensor) -> Tensor | None:
        """The values of items (B, C): (B, C); None if nothing values them."""

    def config(self) -> dict[str, Any]:
        """All of the policy but its tensors, as JSON."""

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name."""


class ActingModule(Protocol):
    """A module that answers observations (B, S), or windows of events, with actions (B, D)."""

    observation_dim: int
    action_dim: int
    hidden_dim: int
    max_action: float

    @property
    def state_encoder(self) -> nn.Module:
        """What makes states of windows, or passes observations unchanged."""

    def __call__(self, observation: Tensor) -> Tensor:
        """π(s): (B, D)."""


class Policy:
    """An actor, the items it chooses from, the measure of nearness that ranks them, and optionally critics.

    With `candidates` > 0 that many unseen items nearest to the action are ordered by the smaller of the critics' values
    Q(s, e_i), Wolpertinger (Dulac-Arnold et al. 2015, §4), or by a ranking network. With a finite `critic_weight` their
    nearness counts, too (`re_ranked`).
    """

    stored: ClassVar[type[PolicyConfig]] = PolicyConfig

    def __init__(
        self,
        actor: ActingModule,
        embedding: Tensor,
        similarity: Similarity,
        critics: Critics | None = None,
        candidates: int = 0,
    ) -> None:
        self.actor = actor
        self.embedding = embedding  # (I, D)
        self.nearest = NearestItems(embedding, similarity)
        encoder = actor.state_encoder
        self.state = encoder.config if isinstance(encoder, HistoryEncoder) else None
        self.frame = actor.observation_dim // (embedding.shape[1] + 1) if self.state is None else 1
        self.ranker: RankingNetwork | None = None
        self.critics = critics
        self.candidates = candidates  # 0: nothing re-ranks
        self.critic_weight = math.inf

    def re_rank_by(self, ranker: RankingNetwork, candidates: int) -> None:
        """Let a ranking network re-rank, and no critics."""
        self.ranker, self.candidates = ranker, candidates

    def observations(self, histories: Histories) -> Tensor:
        """What the networks observe: each history's latest F events, (B, S), or a window of its latest ones."""
        if self.state is not None:
            return latest(histories, self.state.length, self.embedding)
        return flat_observation(histories, self.embedding, self.frame)

    def act(self, histories: Histories) -> Tensor:
        """π(s): (B, D)."""
        with torch.no_grad():
            action: Tensor = self.actor(self.observations(histories))
            return action

    @torch.no_grad()
    def scores(self, histories: Histories) -> Tensor:
        """Score each item by its nearness to the action: (B, I), higher is better; the best are re-ranked, if asked for."""
        observation = self.observations(histories)
        action = self.actor(observation)
        scores = self.nearest.scores(action)

        def values(chosen: Tensor) -> Tensor:
            vectors = self.embedding[chosen]
            if self.ranker is not None:
                state = self.actor.state_encoder(observation)
                ranked: Tensor = self.ranker(state, action, vectors, scores.gather(1, chosen))
                return ranked
            assert self.critics is not None  # noqa: S101
            return self.critics.of_several(observation, vectors, precision="float32").amin(0)

        return re_ranked(scores, histories.items, self.candidates, values, self.critic_weight)

    @torch.no_grad()
    def item_values(self, histories: Histories, items: Tensor) -> Tensor | None:
        """The critics' smaller value of items (B, C): (B, C); None without critics."""
        if self.critics is None:
            return None
        values = self.critics.of_several(self.observations(histories), self.embedding[items], precision="float32")
        return values.amin(0)

    def config(self) -> dict[str, Any]:
        """All of this policy but its tensors, as JSON."""
        return PolicyConfig(
            state=self.state,
            observation_dim=self.actor.observation_dim,
            action_dim=self.actor.action_dim,
            hidden_dim=self.actor.hidden_dim,
            max_action=self.actor.max_action,
            similarity=self.nearest.measure,
            critics=0 if self.critics is None else self.critics.count,
            critic_candidates=self.candidates if self.ranker is None else 0,
            ranker_candidates=self.candidates if self.ranker is not None else 0,
        ).model_dump(mode="json")

    def acting_parts(self) -> dict[str, nn.Module]:
        """The actor, and the critics if there are any."""
        assert isinstance(self.actor, nn.Module)  # noqa: S101
        return {"actor": self.actor} | ({} if self.critics is None else {"critics": self.critics})

    def parts(self) -> nn.ModuleDict:
        """All networks that are stored."""
        return nn.ModuleDict(self.acting_parts() | ({} if self.ranker is None else {"ranker": self.ranker}))

    def tensors(self) -> dict[str, Tensor]:
        """The weights by name, on the CPU."""
        return {name: value.detach().cpu().contiguous() for name, value in self.parts().state_dict().items()}

    @classmethod
    def from_tensors(cls, config: dict[str, Any], tensors: dict[str, Tensor], embedding: Tensor) -> Self:
        """The policy of `config()` and `tensors()` on the items (I, D) it was trained with.

        Raises:
            PolicyError: the format is another one, the config is not valid, or config, tensors and items do not fit one another.
        """
        fields = parsed(cls.stored, config)
        dim, frames = embedding.shape[1], fields.observation_dim / (fields.action_dim + 1)
        fits = frames.is_integer() if fields.state is None else fields.observation_dim == fields.state.width
        if fields.action_dim != dim or not fits:
            found = f"actions of {fields.action_dim} and observations of {fields.observation_dim}"
            raise unfit(f"actions and observations that fit embeddings of {dim} numbers", found)
        with torch.device("meta"):
            need_tensors(tensors, cls._whole(fields, embedding).parts().state_dict())
        policy = cls._whole(fields, embedding)
        policy.parts().load_state_dict(tensors)
        return policy

    @classmethod
    def _whole(cls, config: PolicyConfig, embedding: Tensor) -> Self:
        policy = cls._untrained(config, embedding)
        if config.ranker_candidates > 0:
            ranker = RankingNetwork(config.observation_dim, config.action_dim, config.hidden_dim)
            policy.re_rank_by(ranker, config.ranker_candidates)
        return policy

    @classmethod
    def _untrained(cls, config: PolicyConfig, embedding: Tensor) -> Self:
        sizes = config.observation_dim, config.action_dim, config.hidden_dim
        of_actor, of_critics = (make_encoder(config.state, config.action_dim) for _ in range(2))
        actor = Actor(*sizes, config.max_action, state_encoder=of_actor)
        critics = Critics(config.critics, *sizes, state_encoder=of_critics) if config.critics else None
        return cls(actor, embedding, config.similarity, critics, config.critic_candidates)


def tune_candidates(policy: Policy, tried: Sequence[int], metric: Callable[[Policy], float]) -> int:
    """Let the critics re-rank the number of items with the highest `metric`; the earlier of equal ones wins.

    Args:
        policy: changed in place.
        tried: numbers of items.
        metric: the validation metric of a policy, higher is better.

    Returns: the number.
    """
    found = []
    for candidates in tried:
        policy.candidates = candidates
        found.append(metric(policy))
    policy.candidates = tried[found.index(max(found))]
    return policy.candidates
