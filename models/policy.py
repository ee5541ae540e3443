"""A trained policy: history → observation → action → a score for every item."""

from typing import Any, Self

import torch
from torch import Tensor

from models.errors import LearnerError
from models.histories import Histories, flat_observation
from models.nearest import NearestItems, Similarity
from models.networks import Actor


class Policy:
    """An actor, the items it chooses from, and the measure by which its action ranks them."""

    def __init__(self, actor: Actor, embedding: Tensor, similarity: Similarity) -> None:
        self.actor = actor
        self.embedding = embedding  # (I, D)
        self.nearest = NearestItems(embedding, similarity)
        self.frame = actor.observation_dim // (embedding.shape[1] + 1)

    def act(self, histories: Histories) -> Tensor:
        """π(s) of each history's latest F events: (B, D)."""
        with torch.no_grad():
            action: Tensor = self.actor(flat_observation(histories, self.embedding, self.frame))
            return action

    def scores(self, histories: Histories) -> Tensor:
        """How well each item fits each history's action: (B, I), higher is better."""
        return self.nearest.scores(self.act(histories))

    def config(self) -> dict[str, Any]:
        """What besides the tensors makes this policy, as JSON."""
        return {
            "format": "marquee-policy/1",
            "observation_dim": self.actor.observation_dim,
            "action_dim": self.actor.action_dim,
            "hidden_dim": self.actor.hidden_dim,
            "max_action": self.actor.max_action,
            "similarity": self.nearest.measure,
        }

    def tensors(self) -> dict[str, Tensor]:
        """The actor's weights by name, on the CPU."""
        return {name: value.detach().cpu().contiguous() for name, value in self.actor.state_dict().items()}

    @classmethod
    def from_tensors(cls, config: dict[str, Any], tensors: dict[str, Tensor], embedding: Tensor) -> Self:
        """The policy of `config()` and `tensors()` on the items (I, D) it was trained with.

        Raises:
            LearnerError: they are of another format or do not fit one another.
        """
        if config.get("format") != "marquee-policy/1":
            raise LearnerError(f"policy: expected format marquee-policy/1; found {config.get('format')!r}.")
        try:
            actor = Actor(config["observation_dim"], config["action_dim"], config["hidden_dim"], config["max_action"])
            actor.load_state_dict(tensors)
        except (KeyError, RuntimeError) as error:
            raise LearnerError(f"policy: expected weights that fit its config; found: {error}.") from error
        return cls(actor, embedding, config["similarity"])
