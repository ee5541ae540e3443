"""Which items a policy's action means, by each of the eight distances; how much lists differ between users and samples."""

from collections.abc import Collection, Mapping

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from evaluation.protocols.beyond_accuracy import coverage
from evaluation.protocols.cases import Cases, next_item_cases
from evaluation.protocols.distances import DISTANCES, MINKOWSKI_P, Acting, ByDistance
from evaluation.protocols.diversity import (
    Lists,
    cases_at,
    jaccard,
    list_distances,
    mean_distinct,
    mean_of_pairs,
    sample_distances,
)
from evaluation.protocols.metrics import accuracy_per_user, intervals, means
from evaluation.protocols.ranking import Ranked, rank_cases
from evaluation.protocols.statistics import bootstrap_intervals, bootstrap_pairs
from evaluation.report import figures
from evaluation.report.page import Chart
from evaluation.report.sections.section import Section
from models.histories import Scorer
from storage.dataset.reader import TransitionDataset

WAYS = ("own", *DISTANCES)  # a policy's own scores first
METRICS = ("ndcg@10", "recall@10", "coverage@10", "distinct")
K = 10  # of metrics and overlaps
PER_USER = 20  # cases
Interval = tuple[float, float]
DISTINCT_USERS, DISTINCT_TOP, DRAWS = 50, 20, 20  # the article counts over 50 users × top 20
SAMPLES = 4  # of a state


class PolicyDistances(Section):
    """One policy's action, understood by each distance.

    Attributes:
        policy: its name.
        metrics: by way of ranking, of WAYS, the METRICS.
        intervals: the same of those that are means over users; no single user has coverage or distinct items.
        overlap: mean Jaccard similarity of the top ten by every two of WAYS, in their order.
    """

    policy: str
    metrics: dict[str, dict[str, float | None]]
    intervals: dict[str, dict[str, Interval]] = Field({})
    overlap: tuple[tuple[float, ...], ...]


class MethodDiversity(Section):
    """How much one method's lists differ, by its own scores.

    Attributes:
        method: its name.
        baseline: whether it is there to be beaten.
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


class DistancesSection(Section):
    """Next-item cases of held-out users, the catalogue ranked by every distance to the policies' actions.

    Attributes:
        split: of the users.
        cases: how many; accuracy is a mean over users of the mean over their cases.
        users: how many; lists are counted and compared at each user's latest case.
        distinct_users: in whose lists distinct items are counted.
        distinct_top: of how many items those lists are.
        minkowski_p: the exponent.
        left_out: ages of the events that samples of a state leave out, one each; 0 is the latest.
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
        """In the order of the page."""
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
        most: cases, drawn at random from each test user's last 20 (validation users', where there are no test users).
        seed: of the draws.
        baselines: names of those that are there to be beaten.
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
                sample_distances(dataset, scorers[name], cases_at(cases, last), ages, K),
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
        baseline: whether it is one.
        best: (U, k) each user's list.
        samples: (S,) mean distance of two samples, of each user who has any.
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
        distinct=distinct(best, seed),
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
            "distinct": distinct(found.best[last], seed),
        }
        metrics[way] = {name: accuracy[name] if name in accuracy else lists[name] for name in METRICS}
    tops = [found.best[:, :K] for found in ranked.values()]
    overlap = tuple(tuple(round(float(jaccard(a, b).mean()), 4) for b in tops) for a in tops)
    return PolicyDistances(policy=name, metrics=metrics, intervals=ends, overlap=overlap)


def distinct(best: Lists, seed: int) -> float | None:
    """Distinct items over 50 users × top 20, of each user's list."""
    return mean_distinct(best, DISTINCT_USERS, DRAWS, seed)


def charts(section: DistancesSection) -> list[Chart]:
    """What each distance makes of the actions, how much their lists overlap, and how lists differ."""
    made: list[Chart] = []
    if section.policies:
        note = (
            "One point per policy, the same actions throughout; only the way from an action to items differs. "
            "“own” is how the policy itself ranks. NDCG has its 95 % interval over users; coverage and distinct items are of all "
            "lists together and have none."
        )
        made.append(("distance-metrics", "Ranking by each distance", note, metric_points(section)))
        note = "Mean Jaccard similarity of the top ten by two ways of ranking: bright cells recommend nearly the same."
        made.append(("distance-overlap", "Overlap of the distances' lists", note, overlap_matrices(section)))
    if section.methods:
        note = (
            "Mean Jaccard distance of two top tens: of different users (0: everybody is told the same), and of one user, had "
            "they not chosen one of their latest items (1: the list hangs on a single event). With 95 % intervals over users."
        )
        made.append(("list-diversity", "Diversity of lists", note, diversity_bars(section)))
    return made


def metric_points(section: DistancesSection) -> figures.Spec:
    """A point per policy and way of ranking, a panel per metric."""
    titles = {"ndcg@10": "NDCG@10", "coverage@10": "coverage@10", "distinct": "distinct items"}
    rows = [
        {"policy": policy.policy, "way": way, "metric": title, "value": policy.metrics[way][metric]}
        | figures.ends(policy.intervals.get(way, {}), metric)
        for policy in section.policies
        for metric, title in titles.items()
        for way in WAYS
    ]
    data = pd.DataFrame(rows)
    data["interval"] = [
        f"{low:.4g} – {high:.4g}" if pd.notna(low) else "none"
        for low, high in zip(data["low"], data["high"], strict=True)
    ]
    policies = pd.Series([method.method for method in section.methods if not method.baseline])
    base = alt.Chart(figures.with_ends(data)).encode(
        y=alt.Y("way:N", sort=list(WAYS), title=None, axis=alt.Axis(grid=True)),
        yOffset=alt.YOffset("policy:N", sort=list(dict.fromkeys(data["policy"]))),
        color=alt.Color("policy:N", scale=figures.coloured(policies, data["policy"]), title="policy"),
    )
    point = base.mark_point(filled=True, size=40, opacity=0.85).encode(
        x=alt.X("value:Q", title=None, axis=alt.Axis(tickCount=4)),
        tooltip=["policy:N", "way:N", alt.Tooltip("value:Q", format=".4g"), "interval:N"],
    )
    whisker = base.mark_rule(strokeWidth=1.2).encode(x="low:Q", x2="high:Q")
    chart = (
        (whisker + point)
        .properties(width=210, height=190 + 4 * len(WAYS) * len(section.policies))
        .facet(facet=alt.Facet("metric:N", sort=list(titles.values()), title=None), columns=3)
        .resolve_scale(x="independent")
    )
    return figures.finished(chart)


def overlap_matrices(section: DistancesSection) -> figures.Spec:
    """A small matrix per policy."""
    rows = [
        {"policy": policy.policy, "way": WAYS[row], "other": WAYS[column], "overlap": value}
        for policy in section.policies
        for row, values in enumerate(policy.overlap)
        for column, value in enumerate(values)
    ]
    names = [policy.policy for policy in section.policies]
    scale = alt.Scale(scheme="viridis", domain=[0, 1])
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_rect()
        .encode(
            x=alt.X("other:N", sort=list(WAYS), title=None, axis=alt.Axis(labelAngle=-60)),
            y=alt.Y("way:N", sort=list(WAYS), title=None),
            color=alt.Color("overlap:Q", scale=scale, title="similarity"),
            tooltip=["policy:N", "way:N", "other:N", alt.Tooltip("overlap:Q", format=".3f")],
        )
        .properties(width=190, height=190)
        .facet(facet=alt.Facet("policy:N", sort=names, title=None), columns=min(3, len(names)))
    )
    return figures.finished(chart)


def diversity_bars(section: DistancesSection) -> figures.Spec:
    """Both diversities of every method."""
    titles = {"between_users": "between users", "between_samples": "between samples of a user"}
    rows = [
        {"method": method.method, "baseline": method.baseline, "metric": title, "value": value}
        | figures.ends(method.intervals, name)
        for method in section.methods
        for name, title in titles.items()
        if (value := getattr(method, name)) is not None
    ]
    return figures.bars(pd.DataFrame(rows), list(titles.values()))
