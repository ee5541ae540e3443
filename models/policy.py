"""A trained policy: observation → action → a score for every item."""

from typing import Any, Literal, Self

import torch
from torch import Tensor
from torch.nn.functional import normalize

from models.errors import LearnerError
from models.networks import Actor

Similarity = Literal["cosine", "dot", "euclidean"]


class Policy:
    """An actor and the measure by which its action ranks items."""

    def __init__(self, actor: Actor, similarity: Similarity) -> None:
        self.actor = actor
        self.similarity: Similarity = similarity

    def act(self, observation: Tensor) -> Tensor:
        """π(s): (B, S) → (B, D)."""
        with torch.no_grad():
            action: Tensor = self.actor(observation)
            return action

    def scores(self, observation: Tensor, items: Tensor) -> Tensor:
        """How well each of the items (I, D) fits the action of each observation (B, S): (B, I), higher is better."""
        return similarity(self.act(observation), items, self.similarity)

    def config(self) -> dict[str, Any]:
        """What besides the tensors makes this policy, as JSON."""
        first, last = self.actor.layers[0], self.actor.layers[-1]
        return {
            "format": "marquee-policy/1",
            "observation_dim": first.in_features,
            "action_dim": last.out_features,
            "hidden_dim": first.out_features,
            "max_action": self.actor.max_action,
            "similarity": self.similarity,
        }

    def tensors(self) -> dict[str, Tensor]:
        """The actor's weights by name, on the CPU."""
        return {name: value.detach().cpu().contiguous() for name, value in self.actor.state_dict().items()}

    @classmethod
    def from_tensors(cls, config: dict[str, Any], tensors: dict[str, Tensor]) -> Self:
        """The policy of `config()` and `tensors()`.

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
        return cls(actor, config["similarity"])


def similarity(actions: Tensor, items: Tensor, measure: Similarity) -> Tensor:
    """Similarity of actions (B, D) and items (I, D): (B, I), higher is nearer; Euclidean is the negative distance."""
    if measure == "cosine":
        return normalize(actions, dim=1) @ normalize(items, dim=1).T
    if measure == "dot":
        return actions @ items.T
    return -torch.cdist(actions, items)
