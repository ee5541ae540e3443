"""A policy that scores the whole catalogue by a weighted sum of fitted and learnt terms, with weights for each question."""

from copy import copy
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, normalize

from models.fitted_terms import FittedTerms, LogCounts, TrainingCatalogue
from models.histories import Histories
from models.networks import Critics
from models.ranking_policy_config import RankingPolicyConfig, StoredConfig
from models.serve_for import SERVE_FOR, ServeFor
from models.states import make_state
from models.stored_policy import need_tensors, parsed, unfit
from models.term_weights import UNTUNED, Term, TermWeights
from models.wolpertinger import re_ranked

INITIAL = 0.02  # σ of item vectors that do not start at embeddings: larger ones remain noise for many epochs


class RankingPolicy(nn.Module):
    """score(i) = Σ_t w_t(q) T_t(i) + c(q) 1[n_i = 0]: a sum of terms, and an offset of items without training events.

    Learnt terms are the action, z π(s)·(e_i + u_i), and popularity, p log(1 + n_i), where e are the items' embeddings and n
    their training events; the actor π, z, p and the item vectors u are learnt. Fitted terms are those of `FittedTerms`.
    Items without training events have no u. The weights w, the offset c and the weight of the critics are tuned on
    validation users after training, once for each question q, because the likelihood that training maximises is not the
    metric of any of them. Before, the score is that of the learnt terms.

    Legend of shapes: items, rewards (B, L); states (B, L, H); actions π(s) (B, L, D), of length 1 as the embeddings e.
    """

    stored = StoredConfig
    unit: Tensor
    log_count: Tensor
    log_recent: Tensor
    fixed: Tensor | None

    def __init__(self, config: RankingPolicyConfig, catalogue: TrainingCatalogue) -> None:
        super().__init__()
        self.params = config
        self.weights: dict[ServeFor, TermWeights] = dict.fromkeys(SERVE_FOR, UNTUNED)
        self.question: ServeFor = "next"
        self.encoded: tuple[Histories, Tensor] | None = None  # histories and their states, see `encoding`
        count, dim = catalogue.embedding.shape
        self.register_buffer("unit", normalize(catalogue.embedding, dim=1), persistent=False)
        self.register_buffer("log_count", torch.log1p(catalogue.counts.float()), persistent=False)
        self.register_buffer("log_recent", torch.log1p(catalogue.recent.float()), persistent=False)
        self.register_buffer("fixed", None, persistent=False)  # the vectors of a policy that is not trained further
        self.fitted = FittedTerms(config, catalogue)
        self.largest_reward = catalogue.largest_reward
        self.embedding_length = float(catalogue.embedding.norm(dim=1).mean())
        self.popularity = nn.Parameter(torch.tensor(0.5))
        self.state_encoder = make_state(config.state, dim, config.width, config.frame)
        self.head = nn.Linear(config.width, dim)
        self.action_scale = nn.Parameter(torch.tensor(5.0))
        # Not on `meta`, where `from_tensors` makes the rest: there randn imports torch's compiler, which takes a second.
        self.free = nn.Parameter(torch.randn(count, dim, device="cpu") * (0.0 if config.embeddings else INITIAL))
        self.drop = nn.Dropout(config.dropout)
        self.critics = Critics(2, config.width, dim, config.critic_width)

    def serving(self, question: ServeFor) -> Self:
        """This policy with the weights for a question; it shares all tensors."""
        view = copy(self)
        view.question = question
        return view

    def encoding(self, histories: Histories) -> Self:
        """This policy with the states of some histories, so that scores and values do not compute them again; it shares all tensors."""
        view = copy(self)
        view.encoded = histories, self.state(histories)
        return view

    @property
    def known(self) -> LogCounts:
        """How often items were rated in training."""
        return LogCounts(self.log_count, self.log_recent)

    def vectors(self, known: LogCounts | None = None) -> Tensor:
        """e_i + u_i: (I, D)."""
        if self.fixed is not None and (known is None or known.log_count is self.log_count):
            return self.fixed
        begin = self.unit if self.params.embeddings else torch.zeros_like(self.unit)
        if not self.params.own_vectors:
            return begin
        return begin + self.free * ~(known or self.known).cold.unsqueeze(1)

    def states(self, items: Tensor, rewards: Tensor) -> Tensor:
        """The state after each event, (B, L, H); zeros where there is no event."""
        there = items >= 0
        # Not by indexing, whose gradient is summed in an order that depends on the number of threads.
        vectors = embedding(items.clamp_min(0), self.vectors()) * there.unsqueeze(-1)
        if not self.params.embeddings:  # small at first, they would be lost beside biases [Vaswani et al. 2017, §3.4]
            vectors = vectors * vectors.shape[-1] ** 0.5
        states: Tensor = self.state_encoder(self.drop(vectors), rewards / self.largest_reward, there)
        return states * there.unsqueeze(-1)

    def actions(self, states: Tensor) -> Tensor:
        """π(s): (…, H) → (…, D), of length 1."""
        return normalize(self.head(self.drop(states)), dim=-1)

    def learnt_scores(self, actions: Tensor, candidates: Tensor) -> Tensor:
        """The learnt terms, z π(s)·(e + u) + p log(1 + n), of C candidates: (…, D), (C,) → (…, C)."""
        # One product with a bias: passes over all scores take longer than the product.
        bias = self.popularity * self.log_count[candidates]
        return linear(self.action_scale * actions, self.vectors()[candidates], bias)

    def term(self, name: Term, histories: Histories, state: Tensor, known: LogCounts) -> Tensor:
        """One term of the scores of all items: (B, I), or (I,) if it is the same for all histories.

        Args:
            name: of the term.
            histories: of B users.
            state: after their last events, (B, H).
            known: how often items were rated; items that are cold in it have no own vector and no row in the kernels.
        """
        match name:
            case "actor":
                return (self.action_scale * self.actions(state)) @ self.vectors(known).T
            case "popularity":
                return self.popularity * known.log_count
            case "recent_popularity":
                return known.log_recent
            case "content" | "taste":
                return self.fitted.scores(name, histories, self.unit)
            case "transitions" | "associations":
                return self.fitted.scores(name, histories, self.unit).masked_fill_(known.cold, 0.0)

    def state(self, histories: Histories) -> Tensor:
        """The state after the last event of each history: (B, H)."""
        if self.encoded is not None and self.encoded[0] is histories:
            return self.encoded[1]
        return self.states(*histories.last(self.params.length))[:, -1]

    @torch.no_grad()
    def scores(self, histories: Histories) -> Tensor:
        """Score each item for each history: (B, I), higher is better; the critics re-rank the best."""
        if was_training := self.training:
            self.eval()
        weights, known, state = self.weights[self.question], self.known, self.state(histories)
        scores = (weights.cold * known.cold).repeat(len(state), 1)
        for name, weight in weights.used():  # in place: a pass over all scores takes as long as a product
            scores.add_(self.term(name, histories, state, known), alpha=weight)
        scores = self.re_ranked(scores, histories.items, state, weights.critic)
        if was_training:
            self.train()
        return scores

    def re_ranked(self, scores: Tensor, seen: Tensor, state: Tensor, weight: float) -> Tensor:
        """Scores (B, I) with the best unseen items re-ranked by the critics.

        Args:
            scores: (B, I).
            seen: (B, L), padded with -1.
            state: (B, H).
            weight: of the critics' value against the score.
        """

        def values(chosen: Tensor) -> Tensor:
            return self.critics.of_several(state, self.unit[chosen]).amin(0)

        return re_ranked(scores, seen, self.params.critic_candidates, values, weight)

    def values(self, states: Tensor, actions: Tensor) -> Tensor:
        """min(Q1, Q2)(s, a): (N, H), (N, D) → (N,)."""
        lesser: Tensor = self.critics(states, actions).amin(0)
        return lesser

    @torch.no_grad()
    def item_values(self, histories: Histories, items: Tensor) -> Tensor | None:
        """The critics' smaller value of items (B, C), in evaluation mode: (B, C); None if there are no critics to re-rank."""
        if self.params.critic_candidates == 0:
            return None
        return self.critics.of_several(self.state(histories), self.unit[items]).amin(0)

    @torch.no_grad()
    def act(self, histories: Histories) -> Tensor:
        """π(s), scaled to the mean length of an embedding: (B, D)."""
        was_training = self.training
        self.eval()
        action = self.actions(self.state(histories))
        self.train(was_training)
        return action * self.embedding_length

    def config(self) -> dict[str, Any]:
        """All of this policy but its tensors, as JSON."""
        stored = StoredConfig(policy=self.params, weights=self.weights, largest_reward=self.largest_reward)
        return stored.model_dump(mode="json")

    def tensors(self) -> dict[str, Tensor]:
        """All tensors that scoring needs, except the items' embeddings, by name, on the CPU; kernels in half precision."""
        learnt = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        fitted = {
            "items": self.fitted.items,
            "counts": self.log_count.expm1().round(),
            "recent": self.log_recent.expm1().round(),
            "transitions": self.fitted.transitions.half(),
            "associations": self.fitted.associations.half(),
        }
        return learnt | {f"fitted.{name}": value.cpu().contiguous() for name, value in fitted.items()}

    @classmethod
    def from_tensors(cls, config: dict[str, Any], tensors: dict[str, Tensor], embedding: Tensor) -> Self:
        """The policy of `config()` and `tensors()` on the items (I, D) it was trained with.

        Raises:
            PolicyError: the format is another one, the config is not valid, or config, tensors and items do not fit one another.
        """
        fields = parsed(cls.stored, config)
        need_tensors(tensors, cls._expected(fields, tensors, embedding))
        fitted = {name.removeprefix("fitted."): value for name, value in tensors.items() if name.startswith("fitted.")}
        bounds = torch.tensor([-1, *fitted["items"].tolist(), len(embedding)])
        if not bool((bounds.diff() > 0).all()):
            raise unfit(f"ascending items of 0 … {len(embedding) - 1} in the kernels", "others")
        for name in ("counts", "recent"):
            if not bool((fitted[name] >= 0).all()):
                raise unfit("counts of 0 or more", float(fitted[name].min()))
        policy = cls(fields.policy, TrainingCatalogue(embedding, **fitted, largest_reward=fields.largest_reward))
        policy.weights = dict(fields.weights)
        learnt = {name: value for name, value in tensors.items() if not name.startswith("fitted.")}
        policy.load_state_dict(learnt, assign=True)  # as they are: copies would take memory beside a mapped file
        policy.fixed = policy.vectors().detach()
        return policy.eval()

    @classmethod
    def _expected(cls, config: StoredConfig, found: dict[str, Tensor], embedding: Tensor) -> dict[str, Tensor]:
        """Tensors of the names, shapes and dtypes that a file must have; the learnt ones and the kernels take no memory."""
        rows = found["fitted.items"].numel() if "fitted.items" in found else 0
        counts, items, kernel = torch.zeros(len(embedding)), torch.empty(0, dtype=torch.int64), torch.empty(0, 0)
        with torch.device("meta"):
            learnt = cls(
                config.policy, TrainingCatalogue(embedding, counts, counts, items, kernel, kernel, 1.0)
            ).state_dict()
            return learnt | {
                "fitted.items": torch.empty(rows, dtype=torch.int64),
                "fitted.counts": counts,
                "fitted.recent": counts,
                "fitted.transitions": torch.empty(rows, rows, dtype=torch.float16),
                "fitted.associations": torch.empty(rows, rows, dtype=torch.float16),
            }
