"""A trained policy: history → observation → action → a score for every item."""

from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from models.errors import LearnerError
from models.histories import Histories, Scorer, flat_observation
from models.nearest import NearestItems, Similarity
from models.networks import Actor, Critics
from models.wolpertinger import re_ranked

FORMAT = "marquee-policy/2"


class Publishable(Scorer, Protocol):
    """A policy that can be stored: see `tasks.policies.load_policy`."""

    def act(self, histories: Histories) -> Tensor:
        """π(s): (B, D)."""

    def config(self) -> dict[str, Any]:
        """All of the policy but its tensors, as JSON."""

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name."""


class Policy:
    """An actor, the items it chooses from, the measure of nearness that ranks them, and optionally critics that re-rank.

    With `candidates` > 0 that many unseen items nearest to the action are ordered by the smaller of the critics' values
    Q(s, e_i): Wolpertinger (Dulac-Arnold et al. 2015, §4).
    """

    def __init__(
        self,
        actor: Actor,
        embedding: Tensor,
        similarity: Similarity,
        critics: Critics | None = None,
        candidates: int = 0,
    ) -> None:
        self.actor = actor
        self.embedding = embedding  # (I, D)
        self.nearest = NearestItems(embedding, similarity)
        self.frame = actor.observation_dim // (embedding.shape[1] + 1)
        self.critics = critics if candidates > 0 else None
        self.candidates = candidates

    def observations(self, histories: Histories) -> Tensor:
        """The states s, each history's latest F events: (B, S)."""
        return flat_observation(histories, self.embedding, self.frame)

    def act(self, histories: Histories) -> Tensor:
        """π(s): (B, D)."""
        with torch.no_grad():
            action: Tensor = self.actor(self.observations(histories))
            return action

    @torch.no_grad()
    def scores(self, histories: Histories) -> Tensor:
        """Score each item by its nearness to the action: (B, I), higher is better; the critics re-rank the best."""
        observation = self.observations(histories)
        scores = self.nearest.scores(self.actor(observation))
        if (critics := self.critics) is None:
            return scores

        def values(chosen: Tensor) -> Tensor:
            return critics.of_several(observation, self.embedding[chosen], precision="float32").amin(0)

        return re_ranked(scores, histories.items, self.candidates, values)

    def config(self) -> dict[str, Any]:
        """All of this policy but its tensors, as JSON."""
        return {
            "format": FORMAT,
            "observation_dim": self.actor.observation_dim,
            "action_dim": self.actor.action_dim,
            "hidden_dim": self.actor.hidden_dim,
            "max_action": self.actor.max_action,
            "similarity": self.nearest.measure,
            "critics": 0 if self.critics is None else self.critics.count,
            "critic_candidates": self.candidates,
        }

    def parts(self) -> nn.ModuleDict:
        """The actor, and the critics if they re-rank."""
        return nn.ModuleDict({"actor": self.actor} | ({} if self.critics is None else {"critics": self.critics}))

    def tensors(self) -> dict[str, Tensor]:
        """The weights by name, on the CPU."""
        return {name: value.detach().cpu().contiguous() for name, value in self.parts().state_dict().items()}

    @classmethod
    def from_tensors(cls, config: dict[str, Any], tensors: dict[str, Tensor], embedding: Tensor) -> Self:
        """The policy of `config()` and `tensors()` on the items (I, D) it was trained with.

        Raises:
            LearnerError: the format is another one, or config and tensors do not fit one another.
        """
        if config.get("format") != FORMAT:
            raise LearnerError(f"policy: expected format {FORMAT}; found {config.get('format')!r}. Train it again.")
        try:
            sizes = config["observation_dim"], config["action_dim"], config["hidden_dim"]
            actor = Actor(*sizes, config["max_action"])
            critics = Critics(config["critics"], *sizes) if config["critics"] else None
            policy = cls(actor, embedding, config["similarity"], critics, config["critic_candidates"])
            policy.parts().load_state_dict(tensors)
        except (KeyError, RuntimeError) as error:
            raise LearnerError(f"policy: expected weights that fit its config; found: {error}.") from error
        return policy
