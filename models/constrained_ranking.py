"""Discrete BCQ's policy: among the items that the behaviour policy would choose, rank by value; then all others."""

import math
from typing import Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.functional import embedding

from models.histories import Histories, seen_items
from models.ranking_policy import RankingPolicy
from models.ranking_policy_config import StoredConfig
from models.stored_policy import format_of, need_tensors, parsed, unfit


class StoredConstrained(BaseModel):
    """All of a constrained ranking policy but its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["marquee-constrained-ranking-policy/3"] = "marquee-constrained-ranking-policy/3"
    imitation: StoredConfig = Field(description="The behaviour policy.")
    threshold: float = Field(ge=0, le=1, description="τ.")


class ItemValues(nn.Module):
    """Q(s, i) = h(s)·v_i + b_i: a hidden ReLU layer, and a vector and a number for each of I items."""

    def __init__(self, items: int, width: int, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dim))
        # Not on `meta`: see `RankingPolicy`.
        self.vectors = nn.Parameter(torch.randn(items, dim, device="cpu") * dim**-0.5)
        self.bias = nn.Parameter(torch.zeros(items))

    def forward(self, states: Tensor, candidates: Tensor) -> Tensor:
        """Q of C candidates: (N, H), (C,) → (N, C)."""
        values: Tensor = self.layers(states) @ self.vectors[candidates].T + self.bias[candidates]
        return values

    def of(self, states: Tensor, items: Tensor) -> Tensor:
        """Q of one item in each state: (N, H), (N,) int64 → (N,)."""
        # Not by indexing, whose gradient is summed in an order that depends on the number of threads.
        own = embedding(items, torch.cat((self.vectors, self.bias.unsqueeze(1)), 1))
        values: Tensor = (self.layers(states) * own[:, :-1]).sum(1) + own[:, -1]
        return values


class ConstrainedRanking(nn.Module):
    """π(s) = argmax of Q(s, i) over the items with G(i | s) ≥ τ max_j G(j | s) (Fujimoto et al. 2019, arXiv:1910.01708).

    G, the behaviour policy, is the softmax of a `RankingPolicy`, whose state Q uses too.
    """

    stored = StoredConstrained

    def __init__(self, imitation: RankingPolicy, values: ItemValues, threshold: float) -> None:
        super().__init__()
        self.imitation, self.values, self.threshold = imitation, values, threshold

    def logits(self, states: Tensor, candidates: Tensor) -> Tensor:
        """Log G up to a constant for each state, of C candidates: (N, H), (C,) → (N, C)."""
        return self.imitation.learnt_scores(self.imitation.actions(states), candidates)

    def allowed(self, logits: Tensor) -> Tensor:
        """Mask (N, C) of the candidates with G ≥ τ max G, by their logits (N, C)."""
        least = math.log(self.threshold) if self.threshold > 0 else -math.inf
        near: Tensor = logits - logits.amax(1, keepdim=True) >= least
        return near

    def best(self, states: Tensor, candidates: Tensor) -> Tensor:
        """The allowed one of C candidates with the largest Q, for each state: (N, H), (C,) → (N,) int64."""
        allowed = self.allowed(self.logits(states, candidates))
        values: Tensor = self.values(states, candidates)
        return candidates[values.masked_fill(~allowed, -math.inf).argmax(1)]

    @torch.no_grad()
    def scores(self, histories: Histories) -> Tensor:
        """Score each item: allowed ones by Q, above all others, which are ordered by G; (B, I), higher is better.

        Items of the history are not allowed, so that the largest G is that of an item that can be recommended.
        """
        was_training = self.training
        self.eval()
        everything = torch.arange(len(self.imitation.unit), device=histories.items.device)
        state = self.imitation.states(*histories.last(self.imitation.params.length))[:, -1]
        logits, values = self.logits(state, everything), self.values(state, everything)
        # Nothing is known of the value of items without training events.
        seen = seen_items(histories.items, logits.shape[1]) | (self.imitation.log_count == 0)
        fresh = logits.masked_fill(seen, -math.inf)
        allowed = self.allowed(fresh) & ~seen
        lowest = values.where(allowed, math.inf).amin(1, keepdim=True)
        others = logits - logits.amax(1, keepdim=True) - 1
        self.train(was_training)
        return torch.where(allowed, values - lowest, others)

    @torch.no_grad()
    def item_values(self, histories: Histories, items: Tensor) -> Tensor | None:
        """Q of items (B, C): (B, C)."""
        everything = torch.arange(len(self.imitation.unit), device=items.device)
        state = self.imitation.states(*histories.last(self.imitation.params.length))[:, -1]
        values: Tensor = self.values(state, everything)
        return values.gather(1, items)

    def act(self, histories: Histories) -> Tensor:
        """The embedding of the item with the highest score: (B, D)."""
        return self.imitation.unit[self.scores(histories).argmax(1)] * self.imitation.embedding_length

    def config(self) -> dict[str, Any]:
        """All of this policy but its tensors, as JSON."""
        return {
            "format": format_of(StoredConstrained),
            "imitation": self.imitation.config(),
            "threshold": self.threshold,
        }

    def tensors(self) -> dict[str, Tensor]:
        """All tensors that scoring needs, except the items' embeddings, by name, on the CPU."""
        values = {name: value.detach().cpu().contiguous() for name, value in self.values.state_dict().items()}
        parts = {"imitation": self.imitation.tensors(), "values": values}
        return {f"{part}.{name}": value for part, found in parts.items() for name, value in found.items()}

    @classmethod
    def from_tensors(cls, config: dict[str, Any], tensors: dict[str, Tensor], embedding: Tensor) -> Self:
        """The policy of `config()` and `tensors()` on the items (I, D) it was trained with.

        Raises:
            PolicyError: the format is another one, the config is not valid, or config, tensors and items do not fit one another.
        """
        fields = parsed(cls.stored, config)
        if unknown := sorted(name for name in tensors if not name.startswith(("imitation.", "values."))):
            raise unfit("weights of imitation and values", unknown[:5])
        of_imitation, of_values = (
            {name[len(part) :]: value for name, value in tensors.items() if name.startswith(part)}
            for part in ("imitation.", "values.")
        )
        sizes = len(embedding), fields.imitation.policy.width, embedding.shape[1]
        with torch.device("meta"):
            need_tensors(of_values, ItemValues(*sizes).state_dict())
        imitation = RankingPolicy.from_tensors(fields.imitation.model_dump(mode="json"), of_imitation, embedding)
        values = ItemValues(*sizes)
        values.load_state_dict(of_values)
        return cls(imitation, values, fields.threshold).eval()
