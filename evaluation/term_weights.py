"""Tune the weights of a ranking policy's terms on validation users, once for each question.

Each term of the scores is computed once per case. A weight is then tried by adding the terms up and ranking all items: exact,
and cheap. Memory: terms × cases × items × 4 bytes for one question at a time, at most about `MOST_BYTES`.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from evaluation.protocols.metrics import accuracy_per_user, mult_vae_per_user
from evaluation.protocols.per_user import mean_by_user, means
from evaluation.protocols.ranking import Ranked, batches_of_like_length
from evaluation.serve_for_cases import Asked, asked_of_validation_users
from models.fitted_terms import LogCounts
from models.histories import Histories
from models.nearest import top_items
from models.ranking_policy import RankingPolicy
from models.serve_for import SERVE_FOR, ServeFor
from models.term_weights import Term, TermWeights, TunedWeights
from storage.dataset.reader import TransitionDataset

VALUES = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5)  # tried for each term, in standard deviations of its scores
CRITIC_WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
OFFSETS = tuple(0.25 * step for step in range(-8, 17))  # of cold items, in standard deviations of all scores
GAIN = 0.005  # a weight changes only if the metric gains this share of it: smaller gains are mostly chance
COST = 0.005  # share of the metric that the offset of cold items may cost
SWEEPS = 4
LEAST_USERS = 20  # with fewer, a question gets the weights of `next`
MOST_BYTES = 1 << 30
ROWS = 32  # cases whose scores stay in the processor's cache
LISTED = 10  # items of a list in which cold items are counted


class Candidate(NamedTuple):
    """Weights that are tried: of the terms, (T,), in units of their scales, of the critics, and the offset of cold items."""

    terms: Tensor
    critic: float = 0.0
    cold: float = 0.0


class CaseBlock(NamedTuple):
    """B cases and the terms of their scores.

    Legend of shapes: T terms, I items
        terms    (T, B, I)
        hidden   (B, I)       -∞ at known items, which are not ranked, else 0
        cold     (I,) bool    items that had not been rated
        targets  (B, most)    int64, padded with -1
        seen     (B, L)       int64, the known items, padded with -1
        state    (B, H)
    """

    terms: Tensor
    hidden: Tensor
    cold: Tensor
    targets: Tensor
    seen: Tensor
    state: Tensor

    def ranks(self, scores: Tensor, depth: int) -> tuple[Tensor, Tensor]:
        """Rank the targets, case after case, (M,), and list the best `depth` items, (B, depth).

        The rank of a target that is not listed is `depth` plus its item index, so that different items have different ranks.
        """
        best = top_items(scores + self.hidden, depth)
        same = best.unsqueeze(1) == self.targets.unsqueeze(2)
        ranks = same.int().argmax(2).where(same.any(2), self.targets + depth)
        return ranks[self.targets >= 0], best


class Tuning:
    """The validation cases of one question, the terms of their scores, and the metric of weights on them."""

    def __init__(
        self,
        policy: RankingPolicy,
        dataset: TransitionDataset,
        question: ServeFor,
        asked: Sequence[Asked],
        metric: str,
        terms: Sequence[Term],
    ) -> None:
        self.policy, self.question, self.terms = policy, question, terms
        self.metric, self.depth = ("ndcg@100", 100) if question == "liked" else (metric, LISTED)
        self.per_user = mult_vae_per_user if question == "liked" else partial(accuracy_per_user, ks=(LISTED,))
        self.blocks: list[CaseBlock] = []
        parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for cases, known in asked:
            for rows in (rows for batch in batches_of_like_length(cases) for rows in batch.split(ROWS)):
                events, offset = cases.at(rows).target_events()
                items, number = dataset.item[events].long(), offset.diff()
                self.blocks.append(self._block(cases.histories(dataset, rows), known, items, number))
                parts.append((cases.users[rows], number, dataset.liked(events), known.cold[items]))
        users, numbers, positive, cold = (torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True))
        self.users, self.offset, self.positive = users, np.append(0, numbers.cumsum()), positive
        case = np.repeat(np.arange(len(users)), numbers)
        self.sought = self._mean(np.bincount(case, cold, len(users)) / numbers)
        self.scale = self._scale()

    def _block(self, histories: Histories, known: LogCounts, targets: Tensor, number: Tensor) -> CaseBlock:
        """The terms of the scores of some cases, whose targets come one case after another."""
        state = self.policy.state(histories)
        terms = [self.policy.term(name, histories, state, known).expand(len(state), -1) for name in self.terms]
        padded, items = pad_sequence(targets.split(number.tolist()), True, -1), len(known.cold)
        hidden = state.new_zeros((len(state), items + 1))
        hidden.scatter_(1, histories.items.where(histories.items >= 0, items), -torch.inf)
        hidden.scatter_(1, padded.where(padded >= 0, items), 0.0)  # a target is ranked even if it was rated before
        return CaseBlock(torch.stack(terms), hidden[:, :-1], known.cold, padded, histories.items, state)

    def _scale(self) -> Tensor:
        """Divide each term by its scale, (T,): the mean over cases of the standard deviation over items."""
        scale = torch.stack([block.terms.std(2).sum(1) for block in self.blocks]).sum(0) / len(self.users)
        self.useful = (scale > 0).nonzero().flatten().tolist()  # other terms rank nothing
        scale = scale.where(scale > 0, 1.0)
        for block in self.blocks:
            block.terms.div_(scale[:, None, None])
        return scale

    def _mean(self, values: NDArray[np.float64]) -> float:
        """The mean over users of each user's mean over cases, (T,)."""
        return means(mean_by_user(self.users, {"": values}))[""]

    def value(self, ranks: Sequence[Tensor]) -> float:
        """The metric of the targets' ranks, block after block."""
        found = torch.cat([*ranks]).cpu().numpy()
        ranked = Ranked(self.users, self.offset, found, self.positive, found, np.empty((0, 0), np.int64))
        value = means(self.per_user(ranked))[self.metric]
        return 0.0 if np.isnan(value) else value

    def measure(self, tried: Candidate) -> tuple[float, float]:
        """The metric, and the share of cold items in the lists."""
        ranks, shown = [], []
        for block in self.blocks:
            scores = torch.tensordot(tried.terms, block.terms, 1) + tried.cold * block.cold
            scores = self.policy.re_ranked(scores, block.seen, block.state, tried.critic)
            found, best = block.ranks(scores, self.depth)
            ranks.append(found)
            shown.append(block.cold[best[:, :LISTED]].float().mean(1))
        return self.value(ranks), self._mean(torch.cat(shown).double().cpu().numpy())

    def values_of(self, weights: Tensor, place: int) -> list[float]:
        """The metric with each of `VALUES` as the weight of one term."""
        ranks: list[list[Tensor]] = [[] for _ in VALUES]
        others = weights.clone()
        others[place] = 0.0
        for block in self.blocks:
            rest = torch.tensordot(others, block.terms, 1)
            for found, value in zip(ranks, VALUES, strict=True):
                found.append(block.ranks(rest + value * block.terms[place], self.depth)[0])
        return [self.value(found) for found in ranks]

    def best_terms(self) -> Tensor:
        """The best weights of the terms, (T,): begins with the best single term, then tries `VALUES` for one after another."""
        single = torch.eye(len(self.terms), device=self.scale.device)
        found = [self.measure(Candidate(single[place]))[0] for place in self.useful]
        best = max(found)
        weights = single[self.useful[found.index(best)]].clone()
        for _ in range(SWEEPS):
            before = weights.clone()
            for place in self.useful:
                tried = self.values_of(weights, place)
                if weights.count_nonzero() == 1 and weights[place] > 0:
                    tried[0] = 0.0  # without any term the order of the catalogue would be measured
                if max(tried) > best * (1 + GAIN):
                    best = max(tried)
                    weights[place] = VALUES[tried.index(best)]
            if torch.equal(weights, before):
                break
        return weights

    def best(self) -> tuple[Candidate, float, float]:
        """The best weights of the terms, then of the critics, then the offset; with its metric and its share of cold items.

        The offset is the largest at which cold items are listed at most as often as they are chosen, and which costs at
        most `COST` of the metric; 0 if none is ever chosen.
        """
        chosen = Candidate(self.best_terms())
        value, shown = self.measure(chosen)
        for critic in CRITIC_WEIGHTS[1:] if self.policy.params.critic_candidates > 0 else ():
            tried = chosen._replace(critic=critic)
            found = self.measure(tried)
            if found[0] > value * (1 + GAIN):
                chosen, (value, shown) = tried, found
        spread = self._spread(chosen.terms)
        least = value * (1 - COST)
        for offset in OFFSETS if self.sought > 0 else ():
            tried = chosen._replace(cold=offset * spread)
            found = self.measure(tried)
            if found[0] >= least and found[1] <= self.sought:
                chosen, (value, shown) = tried, found
        return chosen, value, shown

    def _spread(self, terms: Tensor) -> float:
        """The mean over cases of the standard deviation of the scores."""
        found = [torch.tensordot(terms, block.terms, 1).std(1) for block in self.blocks]
        return float(torch.cat(found).mean())

    def result(self) -> tuple[TermWeights, TunedWeights]:
        """The best weights, and what is known of them."""
        chosen, value, shown = self.best()
        raw = dict(zip(self.terms, (chosen.terms / self.scale).tolist(), strict=True))
        shares = (chosen.terms / chosen.terms.sum()).tolist()
        tuned = TunedWeights(
            question=self.question,
            shares={name: round(share, 3) for name, share in zip(self.terms, shares, strict=True)},
            critic=chosen.critic,
            cold=round(chosen.cold / self._spread(chosen.terms), 2),
            metric=self.metric,
            value=round(value, 6),
            cold_shown=round(shown, 6),
            cold_sought=round(self.sought, 6),
            cases=len(self.users),
            users=len(np.unique(self.users)),
        )
        return TermWeights(**raw, critic=chosen.critic, cold=chosen.cold), tuned


@torch.no_grad()
def tune_weights(
    policy: RankingPolicy,
    dataset: TransitionDataset,
    metric: str,
    steps: int,
    seed: int,
    questions: Sequence[ServeFor] = SERVE_FOR,
    terms: Sequence[Term] | None = None,
) -> list[TunedWeights]:
    """Set a policy's weights for every question to the best ones on validation users.

    Args:
        policy: changed in place.
        dataset: of the validation users.
        metric: of next items, such as `ndcg@10`; `liked` is tuned by the NDCG@100 of Mult-VAE's protocol.
        steps: at most so many cases per question.
        seed: of the draws of cases.
        questions: `next` first; the weights for other questions stay as they are.
        terms: that may have a weight; None: all that the policy has.

    Returns:
        what is known of the weights, in the order of the questions.

    Raises:
        DatasetError: there are no validation users.
    """
    policy.eval()
    used = policy.params.terms if terms is None else terms
    most = min(steps, MOST_BYTES // (4 * len(used) * dataset.items) + 1)
    found: list[TunedWeights] = []
    for question in questions:
        asked = asked_of_validation_users(dataset, question, policy.known, most, seed)
        users = torch.cat([one.cases.users for one in asked]).unique() if asked else ()
        if question == "next" or len(users) >= LEAST_USERS:
            policy.weights[question], tuned = Tuning(policy, dataset, question, asked, metric, used).result()
        else:
            policy.weights[question] = policy.weights["next"]
            tuned = found[0].model_copy(update={"question": question, "same_as": "next"})
        found.append(tuned)
    return found
