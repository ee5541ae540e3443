"""Ranking by each of the eight distances to a policy's action, and how much lists differ between users and samples."""

from collections.abc import Collection, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from evaluation.protocols.beyond_accuracy import coverage
from evaluation.protocols.cases import Cases, next_item_cases
from evaluation.protocols.distances import DISTANCES, MINKOWSKI_P, Acting, ByDistance
from evaluation.protocols.diversity import (
    Lists,
    jaccard,
    list_distances,
    mean_distinct,
    mean_of_pairs,
    sample_distances,
)
from evaluation.protocols.metrics import accuracy_per_user
from evaluation.protocols.per_user import intervals, means
from evaluation.protocols.ranking import Ranked, rank_cases
from evaluation.protocols.statistics import bootstrap_intervals, bootstrap_pairs
from evaluation.record import Record
from models.histories import Scorer
from storage.dataset.reader import TransitionDataset

WAYS = ("own", *DISTANCES)  # the policy's own scores, then every distance
METRICS = ("ndcg@10", "recall@10", "coverage@10", "distinct")
K = 10  # of metrics and overlaps
PER_USER = 20  # cases
Interval = tuple[float, float]
DISTINCT_USERS, DISTINCT_TOP, DRAWS = 50, 20, 20  # the article counts over 50 users × top 20
SAMPLES = 4  # of a state


class PolicyDistances(Record):
    """The rankings of one policy's action by each distance.

    Attributes:
        policy: its name.
        metrics: the METRICS by way of ranking (one of WAYS).
        intervals: of the metrics that are means over users; coverage and distinct items have no value per user.
        overlap: mean Jaccard similarity of the top ten by every two of WAYS, in their order.
    """

    policy: str
    metrics: dict[str, dict[str, float | None]]
    intervals: dict[str, dict[str, Interval]] = Field({})
    overlap: tuple[tuple[float, ...], ...]


class MethodDiversity(Record):
    """How much one method's lists differ, by its own scores.

    Attributes:
        method: its name.
        baseline: whether it is a baseline.
        distinct: items over 50 users × top 20.
        between_users: mean Jaccard distance of two users' top ten.
        between_samples: the same of two samples of one user's state.
        intervals: of both diversities, over users.
    """

    method: str
    baseline: bool
    distinct: float | None
    between_users: float | None
    between_samples: float | None
    intervals: dict[str, Interval] = Field({})


class DistancesSection(Record):
    """Rankings of the catalogue by every distance to the policies' actions, for next-item cases of held-out users.

    Attributes:
        split: of the users.
        cases: their number; accuracy is a mean over users of the mean over their cases.
        users: their number; lists are counted and compared at each user's latest case.
        distinct_users: the number of users in whose lists distinct items are counted.
        distinct_top: the length of those lists.
        minkowski_p: the exponent.
        left_out: by sample of a state, the age of the event that it leaves out; 0 is the latest.
        policies: in the order given.
        methods: in the order given.
    """

    split: str
    cases: int
    users: int
    distinct_users: int
    distinct_top: int = DISTINCT_TOP
    minkowski_p: int
    left_out: tuple[int, ...]
    policies: tuple[PolicyDistances, ...]
    methods: tuple[MethodDiversity, ...]

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways of ranking, in the order of the page."""
        return WAYS


def measure_distances(
    dataset: TransitionDataset,
    policies: Mapping[str, Acting],
    scorers: Mapping[str, Scorer],
    most: int,
    seed: int = 0,
    baselines: Collection[str] = (),
) -> DistancesSection:
    """Rank at most `most` cases by every policy and distance, and by every method's own scores.

    Args:
        dataset: of the cases.
        policies: those with an action, by name.
        scorers: all methods by name, the policies among them.
        most: cases, drawn at random from each test user's last 20 (from validation users if there are no test users).
        seed: of the draws.
        baselines: the names of the baselines.
    """
    cases = next_item_cases(dataset, "test", PER_USER, most, seed)
    if not len(cases):
        cases = next_item_cases(dataset, "validation", PER_USER, most, seed)
    last = latest_of_users(cases)
    ages = tuple(np.unique(np.linspace(0, dataset.frame - 1, SAMPLES).round().astype(int)).tolist())
    asked = len(cases) > 0
    own = {name: rank_cases(dataset, scorer, cases, DISTINCT_TOP) for name, scorer in scorers.items() if asked}
    return DistancesSection(
        split=cases.split,
        cases=len(cases),
        users=len(last),
        distinct_users=min(DISTINCT_USERS, len(last)),
        minkowski_p=MINKOWSKI_P,
        left_out=ages,
        policies=tuple(
            policy_distances(dataset, name, policy, own[name], cases, seed)
            for name, policy in policies.items()
            if asked
        ),
        methods=tuple(
            method_diversity(
                name,
                name in baselines,
                ranked.best[last],
                sample_distances(dataset, scorers[name], cases.at(torch.from_numpy(last)), ages, K),
                seed,
            )
            for name, ranked in own.items()
        ),
    )


def latest_of_users(cases: Cases) -> NDArray[np.int64]:
    """The row of each user's last case: (U,); a user's cases are in time order."""
    users = cases.users.cpu().numpy()
    return np.flatnonzero(np.append(users[1:] != users[:-1], len(users) > 0)) if len(users) else np.empty(0, np.int64)


def method_diversity(
    name: str, baseline: bool, best: Lists, samples: NDArray[np.float64], seed: int
) -> MethodDiversity:
    """How much a method's lists differ, with intervals.

    Args:
        name: of the method.
        baseline: whether it is a baseline.
        best: (U, k) each user's list.
        samples: (S,) mean distance of two samples, of each user who has samples.
        seed: of the draws.
    """
    between = list_distances(best[:, :K])
    ends = {
        "between_users": bootstrap_pairs(between, seed),
        "between_samples": tuple(bootstrap_intervals(samples[:, None], seed)[0].tolist()),
    }
    return MethodDiversity(
        method=name,
        baseline=baseline,
        distinct=mean_distinct(best, DISTINCT_USERS, DRAWS, seed),
        between_users=mean_of_pairs(between),
        between_samples=float(samples.mean()) if len(samples) else None,
        intervals={of: (low, high) for of, (low, high) in ends.items() if np.isfinite(low)},
    )


def policy_distances(
    dataset: TransitionDataset, name: str, policy: Acting, own: Ranked, cases: Cases, seed: int
) -> PolicyDistances:
    """Rank the cases by each distance to a policy's action."""
    ranked = {"own": own} | {
        distance: rank_cases(dataset, ByDistance(policy, dataset.embedding, distance), cases, DISTINCT_TOP)
        for distance in DISTANCES
    }
    last = latest_of_users(cases)
    metrics: dict[str, dict[str, float | None]] = {}
    ends: dict[str, dict[str, Interval]] = {}
    for way, found in ranked.items():
        per_user = accuracy_per_user(found, (K,))
        accuracy = means(per_user)
        ends[way] = {name: interval for name, interval in intervals(per_user, seed).items() if name in METRICS}
        lists = {
            f"coverage@{K}": coverage(found.best[:, :K], dataset.items),
            "distinct": mean_distinct(found.best[last], DISTINCT_USERS, DRAWS, seed),
        }
        metrics[way] = {name: accuracy[name] if name in accuracy else lists[name] for name in METRICS}
    tops = [found.best[:, :K] for found in ranked.values()]
    overlap = tuple(tuple(round(float(jaccard(a, b).mean()), 4) for b in tops) for a in tops)
    return PolicyDistances(policy=name, metrics=metrics, intervals=ends, overlap=overlap)
