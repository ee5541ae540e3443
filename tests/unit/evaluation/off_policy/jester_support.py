"""Logs made from Jester, whose 7,200 users rated all 100 jokes: what a user would say of any joke is known (Goldberg et al. 2001).

A log is made as a recommender or a user would make it: each user takes one joke after another, with a stated probability among
those not yet taken, and rates it as in the data. Two behaviour policies are stated: `history` looks at what an estimator can see,
`taste` also at the rating that the user is going to give, which no history shows.
"""

import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluation.baselines import fit_baselines
from evaluation.off_policy.estimates import OffPolicyParams, chances
from models.histories import Histories, Scorer, seen_items
from storage.dataset.histories import UserHistories
from storage.dataset.reader import TransitionDataset
from storage.dataset.scale import RatingScale
from storage.dataset.splits import SplitParams, split_users
from storage.dataset.writer import write_transitions

Behaviour = Literal["history", "taste"]
SCALE = RatingScale(lowest=-10, highest=10, step=0.1)  # of hundredths in the data
FRAME, STEPS, DIM = 10, 20, 16
MISSING = 99


@dataclass(frozen=True)
class Jester:
    """What is known of the jokes.

    Legend of shapes: C users who rated all, I jokes
        ratings  (C, I) float64, whole steps of `SCALE`
        quality  (I,) float64, the jokes' mean ratings by the other users, standardised
        vectors  (I, DIM) float32, singular vectors of the other users' ratings, of length 1
    """

    ratings: NDArray[np.float64]
    quality: NDArray[np.float64]
    vectors: NDArray[np.float32]


def read_jester(archive: Path) -> Jester:
    """Read jester-data-1.zip; users who left a joke out tell of the jokes only, so that nothing known of them is evaluated."""
    with zipfile.ZipFile(archive) as opened:
        (name,) = opened.namelist()
        rows = csv.reader(io.StringIO(opened.read(name).decode()))
        table = np.array([[float(cell) for cell in row] for row in rows])
    whole, ratings = table[:, 0] == table.shape[1] - 1, table[:, 1:]
    given = ratings[~whole] != MISSING
    rest = np.where(given, ratings[~whole], 0.0)
    mean = rest.sum(0) / given.sum(0)
    vectors = np.linalg.svd(np.where(given, rest - mean, 0.0), full_matrices=False)[2][:DIM].T
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    codes = np.rint((ratings[whole] - SCALE.rating_min) / SCALE.step)
    return Jester(SCALE.rating_min + SCALE.step * codes, (mean - mean.mean()) / mean.std(), vectors.astype(np.float32))


def log_propensities(jester: Jester, behaviour: Behaviour, known: Histories, own: Tensor | None = None) -> Tensor:
    """Log μ(a | h) of jokes not yet taken, (B, I), -inf for the others: a softmax, mixed with a tenth of the uniform.

    Its exponent is quality + 1.5 × the mean cosine to the jokes of the last three events, weighted by their rewards over 4;
    for `taste` plus the user's own rating over 4, (B, I). Rewards go from -4 to 5.
    """
    vectors = torch.from_numpy(jester.vectors)
    items, rewards = known.last(3)
    there = (items >= 0).unsqueeze(2)
    liked = (vectors[items.clamp_min(0)] * (rewards / 4).unsqueeze(2) * there).sum(1) / 3
    utility = torch.from_numpy(jester.quality).float() + 1.5 * liked @ vectors.T
    if behaviour == "taste":
        assert own is not None
        utility = utility + own.float() / 4
    seen = seen_items(known.items, len(vectors))
    share = utility.masked_fill(seen, -torch.inf).softmax(1)
    uniform = 0.1 / (~seen).sum(1, keepdim=True)
    return torch.log(0.9 * share + uniform).masked_fill(seen, -torch.inf)


@dataclass(frozen=True)
class Log:
    """A dataset of logged choices, the reward of every joke, and the stated behaviour policy of it.

    Legend of shapes:
        rewards  (U, I) float32
    """

    jester: Jester
    behaviour: Behaviour
    dataset: TransitionDataset
    rewards: NDArray[np.float32]

    @cached_property
    def begins(self) -> dict[tuple[int, ...], int]:
        """The user's row by the first ten jokes."""
        first, items = self.dataset.offset.tolist(), self.dataset.item.tolist()
        return {tuple(items[begin : begin + FRAME]): row for row, begin in enumerate(first[:-1])}

    def user_rows(self, known: Histories) -> Tensor:
        """The user of each history, whom the first ten jokes give away: (B,)."""
        return torch.tensor([self.begins[tuple(one[one >= 0][:FRAME].tolist())] for one in known.items])

    def log_propensities(self, known: Histories) -> Tensor:
        """The true log μ(a | h)."""
        scale = self.dataset.reward
        own = (torch.from_numpy(self.rewards)[self.user_rows(known)] - scale.offset) / scale.scale
        return log_propensities(self.jester, self.behaviour, known, own)


def make_log(folder: Path, jester: Jester, behaviour: Behaviour, seed: int, users: int | None = None) -> Log:
    """Let users take 30 jokes each, the first ten of which are their first history; write and open the dataset.

    Args:
        folder: gets transitions.h5.
        jester: the ratings.
        behaviour: by which jokes are taken.
        seed: of every choice.
        users: the first so many users; None: all.
    """
    generator = torch.Generator().manual_seed(seed)
    ratings = torch.from_numpy(jester.ratings[:users])
    count, length = len(ratings), FRAME + STEPS
    low, high = ratings.new_tensor([SCALE.lowest, SCALE.highest])
    known = Histories(torch.zeros((count, 0), dtype=torch.int64), torch.zeros((count, 0)))
    for _ in range(length):
        chance = log_propensities(jester, behaviour, known, ratings).exp()
        taken = torch.multinomial(chance, 1, generator=generator)
        reward = -4 + 9 * (ratings.gather(1, taken) - low) / (high - low)  # the default reward
        known = Histories(torch.cat((known.items, taken), 1), torch.cat((known.rewards, reward.float()), 1))
    codes = torch.round((ratings.gather(1, known.items) - SCALE.rating_min) / SCALE.step)
    user_ids = np.arange(count)
    write_transitions(
        folder / "transitions.h5",
        [
            UserHistories(
                user_ids,
                np.full(count, length),
                known.items.flatten().numpy().astype(np.int32),
                codes.flatten().numpy().astype(np.uint8),
                np.tile(np.arange(length), count),
            )
        ],
        user_ids=user_ids,
        split=split_users(user_ids, SplitParams(test=0.3, validation=0.1)),
        movie_ids=np.arange(len(jester.vectors)),
        embeddings=jester.vectors,
        scale=SCALE,
        frame=FRAME,
        time_cut=length,
        provenance={},
    )
    dataset = TransitionDataset.open(folder / "transitions.h5")
    rewards = dataset.reward.offset + dataset.reward.scale * ratings.numpy()
    return Log(jester, behaviour, dataset, rewards.astype(np.float32))


class OfUser:
    """Scores by a rule of who the user is, (B,) → (B, I)."""

    def __init__(self, log: Log, rule: Callable[[Tensor], Tensor]) -> None:
        self.log, self.rule = log, rule

    def scores(self, histories: Histories) -> Tensor:
        return self.rule(self.log.user_rows(histories))


def target_policies(log: Log, *baselines: str) -> dict[str, Scorer]:
    """What each user would like most and least, which no method knows; what is liked by all; anything; and some baselines."""
    own = torch.from_numpy(log.rewards)
    anything = torch.rand(own.shape, generator=torch.Generator().manual_seed(0))
    quality = torch.from_numpy(log.jester.quality).float()
    return {
        "ideal": OfUser(log, lambda users: own[users]),
        "contrary": OfUser(log, lambda users: -own[users]),
        "quality": OfUser(log, lambda users: quality.expand(len(users), -1)),
        "random": OfUser(log, lambda users: anything[users]),
        **fit_baselines(log.dataset, {name: {} for name in baselines}, max_items=100),
    }


def true_value(log: Log, scorer: Scorer, params: OffPolicyParams, starts: Tensor) -> float:
    """The mean over the starts of Σ_a π(a | h) r, each user's starts being as many."""
    total = 0.0
    for rows in starts.split(4096):
        known = Histories(*log.dataset.histories(rows))
        items, chance = chances(scorer.scores(known), seen_items(known.items, log.dataset.items), params)
        total += float((chance * torch.from_numpy(log.rewards)[log.dataset.users_of(rows)].gather(1, items)).sum())
    return total / len(starts)


def followed(log: Log, scorer: Scorer, params: OffPolicyParams, starts: Tensor, seed: int = 0) -> float:
    """The discounted mean reward of the next H jokes if each user takes, from each start on, what the policy gives."""
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.from_numpy(log.rewards)[log.dataset.users_of(starts)]
    known = Histories(*log.dataset.histories(starts))
    discounts = [params.discount**step for step in range(params.horizon)]
    total = torch.zeros(len(starts))
    for discount in discounts:
        items, chance = chances(scorer.scores(known), seen_items(known.items, log.dataset.items), params)
        taken = items.gather(1, torch.multinomial(chance, 1, generator=generator))
        reward = rewards.gather(1, taken)
        total += discount * reward.squeeze(1)
        known = Histories(torch.cat((known.items, taken), 1), torch.cat((known.rewards, reward), 1))
    return float(total.mean()) / sum(discounts)
