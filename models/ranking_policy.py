"""A policy that scores the whole catalogue by a sum of item transitions, content similarity, a learnt action and popularity."""

from collections.abc import Callable
from itertools import product
from typing import Any, Literal, NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, normalize

from models.errors import PolicyError
from models.histories import Histories
from models.networks import Critics
from models.rows import rows_of_items
from models.states import HEADS, StateName, make_state
from models.stored_policy import need_tensors, parsed, unfit
from models.wolpertinger import re_ranked

FORMAT: Literal["marquee-ranking-policy/4"] = "marquee-ranking-policy/4"


def root(sums: Tensor) -> Tensor:
    """Compute √|x| with the sign of x: the kernel's sums are heavy-tailed."""
    return sums.sign() * sums.abs().sqrt()


class RankingPolicyConfig(BaseModel):
    """State, weights of the terms and re-ranking of a ranking policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: StateName = Field(
        "gru", description="State encoder: frame (the article's flat observation), gru or attention."
    )
    width: int = Field(128, ge=4, le=4096, description="H, width of a state.")
    length: int = Field(50, ge=2, le=1000, description="L, latest events of a history that are used.")
    frame: int = Field(10, ge=1, le=1000, description="F, events in the state `frame`.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout of the coordinates of events and states in training.")
    transitions: float = Field(1.0, ge=0, le=100, description="Weight of the transition kernel; 0: left out.")
    transitions_decay: float = Field(
        0.78, gt=0, lt=1, description="Weight of an event relative to that of the next later one."
    )
    content: float = Field(4.0, ge=0, le=100, description="Weight of the similarity of embeddings; 0: left out.")
    content_decay: float = Field(0.7, gt=0, lt=1, description="As for transitions.")
    fitted: float = Field(
        0.0, ge=0, le=100, description="Weight of the fitted terms in the scores; tuned after training."
    )
    actor: float = Field(1.0, ge=0, le=10, description="Weight of the learnt action in the scores; 0: left out.")
    popularity: float = Field(1.0, ge=0, le=10, description="Weight of the learnt popularity term in the scores.")
    own_vectors: bool = Field(
        True, description="Whether items with training events learn a vector added to their embedding."
    )
    embeddings: bool = Field(True, description="Whether item vectors are initialised as the embeddings, or at random.")
    critic_width: int = Field(256, ge=4, le=4096, description="Width of the critics' hidden layers.")
    critic_weight: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Weight of the critics' value against the score in re-ranking the best candidates, both standardised; 0: none.",
    )
    critic_candidates: int = Field(
        50, ge=0, le=1000, description="How many best items the critics re-rank; 0: none, and no weight is tuned."
    )

    @model_validator(mode="after")
    def _attention_splits_the_width(self) -> Self:
        if self.state == "attention" and self.width % HEADS:
            raise ValueError(f"width: expected a multiple of {HEADS} for the state attention; found {self.width}.")
        return self

    @property
    def has_fitted_terms(self) -> bool:
        """Whether there are fitted terms to weight."""
        return self.transitions > 0 or self.content > 0


FITTED_WEIGHTS = (0.0, 0.25, 1.0)
LEARNT_WEIGHTS: dict[str, tuple[float, ...]] = {"actor": (1.0, 0.0), "popularity": (1.0, 0.5, 0.0)}
CRITIC_WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)


class StoredConfig(BaseModel):
    """All of a ranking policy but its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["marquee-ranking-policy/4"] = FORMAT
    policy: RankingPolicyConfig = Field(description="State, weights and re-ranking.")
    largest_reward: float = Field(gt=0, le=1e19, description="The largest absolute reward there can be.")


class Catalogue(NamedTuple):
    """What is known of the I items before training, from training events alone; M of them have rows in the kernel.

    embedding (I, D), counts (I,) training events, items (M,) ascending item indices, kernel (M, M); largest_reward: the
    largest absolute reward there can be.
    """

    embedding: Tensor
    counts: Tensor
    items: Tensor
    kernel: Tensor
    largest_reward: float


class RankingPolicy(nn.Module):
    """score(i) = f F(i) + a z π(s)·(e_i + u_i) + p log(1 + count_i), a fitted term, a learnt action and popularity.

    F(i) = w √(Σ_age x^age K[item(age), i]) + v Σ_age y^age e_item(age)·e_i, where √ keeps signs, the transition kernel K is fit
    in closed form, e are the items' embeddings, and w, v, x, y are hyper-parameters. The actor π, z, p and the item vectors u
    are learnt. Items without training events have no u; they are scored by their content. The weights f and a, that of p
    and that of the critics are tuned on validation users after training (`tune_weights`), because the likelihood that
    training maximises is not the ranking metric.

    Legend of shapes: items, rewards (B, L); states (B, L, H); actions π(s) (B, L, D), of length 1 as the embeddings e.
    """

    unit: Tensor
    kernel: Tensor
    items: Tensor
    row: Tensor
    log_count: Tensor

    def __init__(self, config: RankingPolicyConfig, catalogue: Catalogue) -> None:
        super().__init__()
        self.params = config
        count, dim = catalogue.embedding.shape
        for name, tensor in (
            ("unit", normalize(catalogue.embedding, dim=1)),
            ("kernel", catalogue.kernel),
            ("items", catalogue.items),
            ("row", rows_of_items(catalogue.items, count)),  # (I,) each item's row in the kernel, or -1
            ("log_count", torch.log1p(catalogue.counts.float())),
        ):
            self.register_buffer(name, tensor, persistent=False)
        self.largest_reward = catalogue.largest_reward
        self.embedding_length = float(catalogue.embedding.norm(dim=1).mean())
        self.popularity = nn.Parameter(torch.tensor(0.5))
        self.state_encoder = make_state(config.state, dim, config.width, config.frame)
        self.head = nn.Linear(config.width, dim)
        self.action_scale = nn.Parameter(torch.tensor(5.0))
        # Not on `meta`, where `from_tensors` makes the rest: there randn imports torch's compiler, which takes a second.
        self.free = nn.Parameter(torch.randn(count, dim, device="cpu") * (0.0 if config.embeddings else dim**-0.5))
        self.drop = nn.Dropout(config.dropout)
        self.critics = Critics(2, config.width, dim, config.critic_width)

    def vectors(self) -> Tensor:
        """e_i + u_i: (I, D)."""
        begin = self.unit if self.params.embeddings else torch.zeros_like(self.unit)
        return begin + self.free * (self.log_count > 0).unsqueeze(1) if self.params.own_vectors else begin

    def states(self, items: Tensor, rewards: Tensor) -> Tensor:
        """The state after each event, (B, L, H); zeros where there is no event."""
        there = items >= 0
        # Not by indexing, whose gradient is summed in an order that depends on the number of threads.
        vectors = embedding(items.clamp_min(0), self.vectors()) * there.unsqueeze(-1)
        states: Tensor = self.state_encoder(self.drop(vectors), rewards / self.largest_reward, there)
        return states * there.unsqueeze(-1)

    def actions(self, states: Tensor) -> Tensor:
        """π(s): (…, H) → (…, D), of length 1."""
        return normalize(self.head(self.drop(states)), dim=-1)

    def learnt_scores(self, actions: Tensor, candidates: Tensor, actor: float = 1.0, popularity: float = 1.0) -> Tensor:
        """The learnt terms, a z π(s)·(e + u) + p log(1 + count), of C candidates: (…, D), (C,) → (…, C)."""
        # One product with a bias: passes over all scores take longer than the product.
        bias = popularity * self.popularity * self.log_count[candidates]
        return linear(actor * self.action_scale * actions, self.vectors()[candidates], bias)

    def fitted_scores(self, items: Tensor) -> Tensor:
        """The fitted terms, F, after the last event of items (B, L): (B, I)."""
        rows = self.row[items.clamp_min(0)].where(items >= 0, -1)
        age = torch.arange(items.shape[1] - 1, -1, -1, device=items.device)
        had = torch.zeros((len(items), len(self.items) + 1), device=items.device)
        weight = (self.params.transitions_decay**age).expand(items.shape)
        had.scatter_add_(1, rows.where(rows >= 0, len(self.items)), weight)
        liked = (
            self.unit[items.clamp_min(0)] * (items >= 0).unsqueeze(-1) * (self.params.content_decay**age).unsqueeze(-1)
        )
        scores = self.params.content * (liked.sum(1) @ self.unit.T)
        scores[:, self.items] += self.params.transitions * root(had[:, :-1] @ self.kernel)
        return scores

    @torch.no_grad()
    def scores(self, histories: Histories) -> Tensor:
        """Score each item as the next of each history: (B, I), higher is better; the critics re-rank the best."""
        was_training = self.training
        self.eval()
        items, rewards = histories.last(self.params.length)
        state = self.states(items, rewards)[:, -1]
        everything = torch.arange(len(self.unit), device=items.device)
        scores = self.learnt_scores(self.actions(state), everything, self.params.actor, self.params.popularity)
        if self.params.fitted > 0:
            scores += self.params.fitted * self.fitted_scores(items)
        if self.params.critic_weight > 0 and self.params.critic_candidates > 0:

            def values(chosen: Tensor) -> Tensor:
                return self.critics.of_several(state, self.unit[chosen]).amin(0)

            scores = re_ranked(
                scores, histories.items, self.params.critic_candidates, values, self.params.critic_weight
            )
        self.train(was_training)
        return scores

    def values(self, states: Tensor, actions: Tensor) -> Tensor:
        """min(Q1, Q2)(s, a): (N, H), (N, D) → (N,)."""
        lesser: Tensor = self.critics(states, actions).amin(0)
        return lesser

    @torch.no_grad()
    def item_values(self, histories: Histories, items: Tensor) -> Tensor | None:
        """The critics' lesser value of items (B, C), in evaluation mode: (B, C); None if there are no critics to re-rank."""
        if self.params.critic_candidates == 0:
            return None
        state = self.states(*histories.last(self.params.length))[:, -1]
        return self.critics.of_several(state, self.unit[items]).amin(0)

    @torch.no_grad()
    def act(self, histories: Histories) -> Tensor:
        """π(s), scaled to the mean length of an embedding: (B, D)."""
        was_training = self.training
        self.eval()
        action = self.actions(self.states(*histories.last(self.params.length))[:, -1])
        self.train(was_training)
        return action * self.embedding_length

    def config(self) -> dict[str, Any]:
        """All of this policy but its tensors, as JSON."""
        return StoredConfig(policy=self.params, largest_reward=self.largest_reward).model_dump(mode="json")

    def tensors(self) -> dict[str, Tensor]:
        """All tensors that scoring needs, except the items' embeddings, by name, on the CPU; the kernel in half precision."""
        learnt = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        counts, kernel = self.log_count.expm1().round().cpu(), self.kernel.half().cpu().contiguous()
        return learnt | {"fitted.items": self.items.cpu(), "fitted.counts": counts, "fitted.kernel": kernel}

    @classmethod
    def from_tensors(cls, config: dict[str, Any], tensors: dict[str, Tensor], embedding: Tensor) -> Self:
        """The policy of `config()` and `tensors()` on the items (I, D) it was trained with.

        Raises:
            PolicyError: the format is another one, the config is not valid, or config, tensors and items do not fit one another.
        """
        if config.get("format") != FORMAT:
            raise PolicyError(f"policy: expected format {FORMAT}; found {config.get('format')!r}. Train it again.")
        fields = parsed(StoredConfig, config, "config")
        need_tensors(tensors, cls._expected(fields, tensors, embedding))
        items, counts = tensors["fitted.items"], tensors["fitted.counts"]
        bounds = torch.tensor([-1, *items.tolist(), len(embedding)])
        if not bool((bounds.diff() > 0).all()):
            raise unfit(f"ascending items of 0 … {len(embedding) - 1} in the kernel", "others")
        if not bool((counts >= 0).all()):
            raise unfit("counts of 0 or more", float(counts.min()))
        known = Catalogue(embedding, counts, items, tensors["fitted.kernel"].float(), fields.largest_reward)
        policy = cls(fields.policy, known)
        policy.load_state_dict({name: value for name, value in tensors.items() if not name.startswith("fitted.")})
        return policy.eval()

    @classmethod
    def _expected(cls, config: StoredConfig, found: dict[str, Tensor], embedding: Tensor) -> dict[str, Tensor]:
        """Tensors of the names, shapes and dtypes that a file must have; the learnt ones and the kernel take no memory."""
        rows = found["fitted.items"].numel() if "fitted.items" in found else 0
        no_kernel = Catalogue(
            embedding, torch.zeros(len(embedding)), torch.empty(0, dtype=torch.int64), torch.empty(0, 0), 1.0
        )
        with torch.device("meta"):
            return cls(config.policy, no_kernel).state_dict() | {
                "fitted.items": torch.empty(rows, dtype=torch.int64),
                "fitted.counts": no_kernel.counts,
                "fitted.kernel": torch.empty(rows, rows, dtype=torch.float16),
            }


def tune_weights(policy: RankingPolicy, metric: Callable[[RankingPolicy], float]) -> dict[str, float]:
    """Set the weights of the policy's terms, then that of the critics, to the values with the highest `metric`.

    Evaluates the metric 23 times, 5 without fitted terms and critics; the earlier of equal values wins.

    Args:
        policy: changed in place.
        metric: the validation metric of a policy, higher is better.

    Returns:
        the chosen weights by name.
    """
    grid = ({"fitted": FITTED_WEIGHTS} if policy.params.has_fitted_terms else {}) | LEARNT_WEIGHTS
    # All weights 0 are left out: all scores would be equal, and the order of the catalogue would be evaluated.
    rounds = [[dict(zip(grid, values, strict=True)) for values in product(*grid.values()) if any(values)]]
    if policy.params.critic_candidates > 0:
        rounds.append([{"critic_weight": weight} for weight in CRITIC_WEIGHTS])
    for tried in rounds:
        start, found = policy.params, []
        for chosen in tried:
            policy.params = start.model_copy(update=chosen)
            found.append(metric(policy))
        policy.params = start.model_copy(update=tried[found.index(max(found))])
    return {name: getattr(policy.params, name) for tried in rounds for name in tried[0]}
