"""Differences of recommendation lists: between users, between samples of one user's state, between ways of ranking."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from evaluation.protocols.cases import Cases
from evaluation.protocols.ranking import rank_cases
from models.histories import Histories, Scorer
from storage.dataset.reader import TransitionDataset

Lists = NDArray[np.int64]  # (T, k) items; -1 is no item


def jaccard(a: Lists, b: Lists) -> NDArray[np.float64]:
    """|A ∩ B| / |A ∪ B| of the lists in the same rows of a (T, k) and b (T, l): (T,); 1 if both are empty."""
    shared = ((a[:, :, None] == b[:, None, :]) & (a >= 0)[:, :, None]).sum(axis=(1, 2))
    union = (a >= 0).sum(axis=1) + (b >= 0).sum(axis=1) - shared
    return np.asarray(np.where(union > 0, shared / np.maximum(union, 1), 1.0))


def list_distances(lists: Lists) -> NDArray[np.float64]:
    """The Jaccard distances, 1 - |A ∩ B| / |A ∪ B|, of every two of the lists (T, k): (T, T)."""
    there = lists >= 0
    begins = np.append(0, there.sum(axis=1).cumsum())
    listed = lists[there]
    member = csr_array((np.ones(len(listed)), listed, begins), shape=(len(lists), int(listed.max(initial=0)) + 1))
    shared = (member @ member.T).toarray()
    size = np.diff(begins)
    union = size[:, None] + size - shared
    return np.asarray(1 - np.where(union > 0, shared / np.maximum(union, 1), 1.0))


def mean_of_pairs(distances: NDArray[np.float64]) -> float | None:
    """The mean of distances (T, T) over every two of the T; None for fewer than two."""
    return float(distances[np.triu_indices(len(distances), 1)].mean()) if len(distances) > 1 else None


def mean_distinct(lists: Lists, users: int, draws: int, seed: int) -> float | None:
    """The mean number of distinct items in the lists of `users` users, over random draws of users from lists (U, k).

    All users are taken if there are fewer; None without users.
    """
    if not len(lists):
        return None
    rng = np.random.default_rng(seed)
    drawn = [lists[rng.choice(len(lists), min(users, len(lists)), replace=False)] for _ in range(draws)]
    return float(np.mean([len(np.unique(some[some >= 0])) for some in drawn]))


@dataclass(frozen=True)
class LeaveOut:
    """Scores histories without one of their latest events.

    Attributes:
        scorer: what scores.
        age: of the event that is left out; 0 is the latest. Older events move up.
    """

    scorer: Scorer
    age: int

    def scores(self, histories: Histories) -> Tensor:
        """Scores (B, I) of histories (B, L) with more than `age` events each."""
        place = histories.items.shape[1] - 1 - self.age
        kept = (torch.cat((values[:, :place], values[:, place + 1 :]), dim=1) for values in histories)
        return self.scorer.scores(Histories(*kept))


def sample_distances(
    dataset: TransitionDataset, scorer: Scorer, cases: Cases, ages: Sequence[int], k: int
) -> NDArray[np.float64]:
    """The mean Jaccard distance of the top k over pairs of samples of a case's state: (S,), for the S cases with more than F events.

    Each sample leaves out one event, of the given age. All known items stay masked, the left-out event too. With F events or
    fewer no older event could move up.
    """
    known = cases.known[:, 1] - cases.known[:, 0]
    asked = cases.at(known > dataset.frame)
    if not len(asked) or len(ages) < 2:
        return np.empty(0)
    lists = [rank_cases(dataset, LeaveOut(scorer, age), asked, k).best for age in ages]
    return np.asarray(np.mean([1 - jaccard(a, b) for a, b in combinations(lists, 2)], axis=0))
