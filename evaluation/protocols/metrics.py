"""How well rankings find what is sought: NDCG, recall, hit rate and reciprocal rank, a value per user."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.ranking import Ranked
from evaluation.protocols.statistics import bootstrap_intervals

KS = (1, 5, 10, 20, 50, 100)


@dataclass(frozen=True)
class PerUser:
    """Metrics of one method.

    Legend of shapes:
        users   (U,) int64      user rows, ascending
        names   m               such as `ndcg@10`
        values  (U, m) float64  the mean over a user's cases; NaN where a metric does not exist for the user
    """

    users: NDArray[np.int64]
    names: tuple[str, ...]
    values: NDArray[np.float64]

    def column(self, name: str) -> NDArray[np.float64]:
        """One metric's values (U,)."""
        return self.values[:, self.names.index(name)]

    def beside(self, other: "PerUser") -> "PerUser":
        """These metrics and more of the same users."""
        if not np.array_equal(self.users, other.users):
            raise ValueError("metrics: expected values of the same users; found others.")
        return PerUser(self.users, self.names + other.names, np.concatenate((self.values, other.values), axis=1))


def accuracy_per_user(ranked: Ranked, ks: Sequence[int] = KS) -> PerUser:
    """NDCG, recall, hit and MRR at every k, each also as `…_liked`, where only items rated 4 or more are sought.

    Of a case that seeks n items, r of them within the first k of the ranking:

    - `ndcg@k`: Σ 1 / log2(rank + 2) over those r, as a share of the most that min(k, n) items can reach
      (Järvelin & Kekäläinen 2002);
    - `recall@k`: r / n; `hit@k`: whether r > 0;
    - `mrr@k`: 1 / (rank + 1) of the first of them, or 0.

    Cases that seek nothing are left out; a user without any has NaN.
    """
    case, ranks, liked = _distinct(ranked)
    columns = _of_cases(len(ranked.users), case, ranks, ks)
    columns |= {
        f"{name}_liked": values for name, values in _of_cases(len(ranked.users), case[liked], ranks[liked], ks).items()
    }
    return mean_by_user(ranked.users, columns)


def mult_vae_per_user(ranked: Ranked) -> PerUser:
    """Recall@20, Recall@50 and NDCG@100 as published for Mult-VAE: recall is r / min(k, n) (Liang et al. 2018)."""
    case, ranks, _ = _distinct(ranked)
    columns = _of_cases(len(ranked.users), case, ranks, (20, 50, 100), at_most_k=True)
    return mean_by_user(ranked.users, {name: columns[name] for name in ("recall@20", "recall@50", "ndcg@100")})


def means(per_user: PerUser) -> dict[str, float]:
    """Each metric's mean over the users who have it; NaN where nobody has."""
    there = ~np.isnan(per_user.values)
    counts = there.sum(axis=0)
    sums = np.where(there, per_user.values, 0.0).sum(axis=0)
    found = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return dict(zip(per_user.names, found.tolist(), strict=True))


def intervals(per_user: PerUser, seed: int) -> dict[str, tuple[float, float]]:
    """The 95 % bootstrap interval over users of each metric's mean, of those that somebody has."""
    found = zip(per_user.names, bootstrap_intervals(per_user.values, seed).tolist(), strict=True)
    return {name: (low, high) for name, (low, high) in found if np.isfinite(low)}


def mean_by_user(users: NDArray[np.int64], columns: dict[str, NDArray[np.float64]]) -> PerUser:
    """The means over each user's cases of columns (T,) by name; NaN does not count.

    Args:
        users: (T,) user row of each case.
        columns: metrics of each case.
    """
    distinct, place, cases = np.unique(users, return_inverse=True, return_counts=True)
    values = np.empty((len(distinct), len(columns)))
    for row, column in enumerate(columns.values()):
        there = ~np.isnan(column)
        every = bool(there.all())
        counts = cases if every else np.bincount(place[there], minlength=len(distinct))
        sums = np.bincount(place, column) if every else np.bincount(place[there], column[there], len(distinct))
        np.divide(sums, counts, out=values[:, row], where=counts > 0)
        values[counts == 0, row] = np.nan
    return PerUser(distinct, tuple(columns), values)


def _distinct(ranked: Ranked) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Case, rank and liking, (M,) each, of what is sought; an item that a case seeks twice counts once, as the better rated."""
    case = np.repeat(np.arange(len(ranked.users)), np.diff(ranked.offset))
    span = int(ranked.ranks.max(initial=0)) + 1
    found, place = np.unique(case * span + ranked.ranks, return_inverse=True)
    if len(found) == len(case):
        return case, ranked.ranks, ranked.liked
    return found // span, found % span, np.bincount(place, ranked.liked) > 0


def _of_cases(
    cases: int, case: NDArray[np.int64], ranks: NDArray[np.int64], ks: Sequence[int], at_most_k: bool = False
) -> dict[str, NDArray[np.float64]]:
    """Metrics (T,) of all cases by name.

    Args:
        cases: T, how many there are.
        case: (M,) the case of each sought item.
        ranks: (M,) its rank.
        ks: lengths of lists.
        at_most_k: whether recall is a share of the min(k, n) items that can be reached, rather than of all n.
    """
    sought = np.bincount(case, minlength=cases)
    near = ranks < max(ks)
    case, ranks = case[near], ranks[near]
    gain = 1 / np.log2(ranks + 2.0)
    ideal = np.cumsum(1 / np.log2(np.arange(max(ks)) + 2.0))
    first = np.full(cases, np.iinfo(np.int64).max // 2)
    np.minimum.at(first, case, ranks)
    found: dict[str, NDArray[np.float64]] = {}
    for k in ks:
        within = ranks < k
        hits = np.bincount(case[within], minlength=cases)
        reachable = np.minimum(sought, k)
        found[f"ndcg@{k}"] = np.bincount(case[within], gain[within], cases) / ideal[reachable - 1]
        found[f"recall@{k}"] = hits / np.maximum(reachable if at_most_k else sought, 1)
        found[f"hit@{k}"] = (hits > 0).astype(float)
        found[f"mrr@{k}"] = np.where(first < k, 1 / (first + 1.0), 0.0)
    for values in found.values():
        values[sought == 0] = np.nan
    return {name: found[name] for name in sorted(found, key=lambda name: name.partition("@")[0])}
