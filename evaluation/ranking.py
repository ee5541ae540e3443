"""Next-item ranking over the full catalogue, seen items masked."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.histories import Histories, Scorer
from models.nearest import ranks_of, top_items
from storage.transitions import TransitionDataset

LIKED_REWARD = 3.0  # 4 stars
BATCH = 256


@dataclass(frozen=True)
class RankingResult:
    """Metrics of one method on one split, each the mean over users of the user's mean over steps."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]  # 95 %, bootstrap over users; none for coverage
    users: int
    steps: int


def rank_steps(
    dataset: TransitionDataset, scorer: Scorer, starts: Tensor, k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every step: the target's 0-based rank (T,), and the k best items (T, k), among items not seen before.

    Of equal scores the smaller item index comes first. Steps are scored in the order of their histories' lengths, so that
    little is filled up.

    Raises:
        LearnerError: a score is NaN.
    """
    starts = starts.to(dataset.item.device)
    ranks = torch.empty(len(starts), dtype=torch.int64, device=starts.device)
    best = torch.empty(len(starts), min(k, dataset.items), dtype=torch.int64, device=starts.device)
    rooms = torch.empty(2, min(BATCH, len(starts)), dataset.items, device=starts.device)
    known = starts - dataset.offset[dataset.users_of(starts)]
    for rows in known.argsort(stable=True).split(BATCH):
        histories = Histories(*dataset.histories(starts[rows]))
        scores, room = rooms[:, : len(rows)]
        scores.copy_(scorer.scores(histories))
        target = dataset.target_items(starts[rows]).unsqueeze(1)
        own = scores.gather(1, target)
        scores.scatter_(1, histories.items.where(histories.items >= 0, target), -torch.inf)
        scores.scatter_(1, target, own)  # a candidate, had it been seen before or not
        best[rows] = top_items(scores, k)
        ranks[rows] = ranks_of(scores, target.squeeze(1), room)
    return ranks.cpu().numpy(), best.cpu().numpy()


def ranking_metrics(
    ranks: NDArray[np.int64],
    best: NDArray[np.int64],
    users: NDArray[np.int64],
    liked: NDArray[np.bool_],
    catalogue: int,
    k: int,
    seed: int = 0,
) -> RankingResult:
    """NDCG@k, Recall@k, both also on liked targets only, and coverage@k.

    With one relevant item, NDCG@k = 1 / log2(rank + 2) and Recall@k = 1 for ranks below k, else 0
    (Järvelin & Kekäläinen 2002); coverage@k is the share of the catalogue in anybody's top k.

    Args:
        ranks: (T,) 0-based ranks of the targets.
        best: (T, k) recommended items.
        users: (T,) user of each step.
        liked: (T,) whether the target was rated 4 or more.
        catalogue: I, number of items.
        k: length of the list.
        seed: of the bootstrap.
    """
    hit = ranks < k
    gain = np.where(hit, 1 / np.log2(ranks + 2.0), 0.0)
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    everything = np.ones(len(ranks), dtype=bool)
    for name, values, mask in (
        (f"ndcg@{k}", gain, everything),
        (f"recall@{k}", hit.astype(float), everything),
        (f"ndcg@{k}_liked", gain, liked),
        (f"recall@{k}_liked", hit.astype(float), liked),
    ):
        per_user = mean_by_user(values[mask], users[mask])
        metrics[name] = float(per_user.mean()) if len(per_user) else 0.0
        intervals[name] = bootstrap_interval(per_user, seed)
    metrics[f"coverage@{k}"] = len(np.unique(best)) / catalogue
    return RankingResult(metrics, intervals, users=len(np.unique(users)), steps=len(ranks))


def mean_by_user(values: NDArray[np.float64], users: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of each user's values, in the order of user ids."""
    _, place = np.unique(users, return_inverse=True)
    return np.asarray(np.bincount(place, weights=values) / np.bincount(place))


def bootstrap_interval(per_user: NDArray[np.float64], seed: int, draws: int = 1000) -> tuple[float, float]:
    """The 95 % percentile interval of the mean, users drawn with replacement (Efron 1979)."""
    if len(per_user) == 0:
        return 0.0, 0.0
    rng = np.random.default_rng(seed)
    means = [per_user[rng.integers(len(per_user), size=len(per_user))].mean() for _ in range(draws)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def judge_scorer(dataset: TransitionDataset, scorer: Scorer, starts: Tensor, k: int) -> RankingResult:
    """Rank all steps and reduce to metrics."""
    return reduce_ranks(dataset, starts, *rank_steps(dataset, scorer, starts, k))


def reduce_ranks(
    dataset: TransitionDataset, starts: Tensor, ranks: NDArray[np.int64], best: NDArray[np.int64]
) -> RankingResult:
    """The metrics of ranked steps; k is the width of `best` (T, k)."""
    users = dataset.users_of(starts).cpu().numpy()
    liked = (dataset.target_rewards(starts) >= LIKED_REWARD).cpu().numpy()
    return ranking_metrics(ranks, best, users, liked, dataset.items, best.shape[1])


def rankings_table(
    dataset: TransitionDataset,
    starts: Tensor,
    ranks: NDArray[np.int64],
    best: NDArray[np.int64],
    method: str,
    split: str,
) -> pa.Table:
    """What any ranking metric can be computed from again: one row per step, outside ids throughout."""
    users = dataset.users_of(starts).cpu().numpy()
    targets = dataset.target_items(starts).cpu().numpy()
    top = pa.FixedSizeListArray.from_arrays(pa.array(dataset.movie_ids[best].ravel()), best.shape[1])
    return pa.table(
        {
            "method": pa.array([method] * len(starts)),
            "split": pa.array([split] * len(starts)),
            "user_id": dataset.user_ids[users],
            "start": starts.cpu().numpy(),
            "target_movie_id": dataset.movie_ids[targets],
            "target_reward": dataset.target_rewards(starts).cpu().numpy(),
            "rank": ranks,
            "top_movie_ids": top,
        }
    )


def choose(starts: Tensor, most: int, seed: int) -> Tensor:
    """At most `most` of the starts, drawn without replacement, in their order."""
    if len(starts) <= most:
        return starts
    rows = np.sort(np.random.default_rng(seed).choice(len(starts), most, replace=False))
    return starts[torch.from_numpy(rows).to(starts.device)]
