"""The metrics of rankings. A metric is one function and one entry of METRICS, which says how and where pages show it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.beyond_accuracy import ItemFacts, exposed_share, exposure, gini, intra_list_diversity, novelty
from evaluation.protocols.cases import Protocol
from evaluation.protocols.per_user import PerUser, mean_by_user
from evaluation.protocols.ranking import Ranked

KS = (1, 5, 10, 20, 50, 100)
LISTS_AT_ONCE = 4096
POSITIVE = "_liked"  # suffix of a metric's name in report.json if only items rated 4 or more count
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Targets:
    """The distinct targets of T cases; M of them have a rank that counts.

    Attributes:
        number: (T,) how many targets each case has.
        case: (M,) the case of each target.
        ranks: (M,) its rank, 0-based.
    """

    number: NDArray[np.int64]
    case: NDArray[np.int64]
    ranks: NDArray[np.int64]

    def total(self, k: int, weights: Values | None = None) -> Values:
        """The sum of weights (M,), 1 by default, over the targets among the first k: (T,)."""
        within = self.ranks < k
        chosen = None if weights is None else weights[within]
        return np.bincount(self.case[within], chosen, len(self.number)).astype(float)

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """The lowest rank of each case: (T,); very large if no target has a rank that counts."""
        first = np.full(len(self.number), np.iinfo(np.int64).max // 2)
        np.minimum.at(first, self.case, self.ranks)
        return first


def ndcg(targets: Targets, k: int) -> Values:
    """Normalised discounted cumulative gain: Σ 1 / log2(rank + 2), divided by the sum that min(k, n) items can reach.

    Source: Järvelin & Kekäläinen 2002.
    """
    ideal = np.cumsum(1 / np.log2(np.arange(k) + 2.0))
    return np.asarray(targets.total(k, 1 / np.log2(targets.ranks + 2.0)) / ideal[np.minimum(targets.number, k) - 1])


def recall(targets: Targets, k: int) -> Values:
    """The share of the n targets that are among the first k."""
    return targets.total(k) / np.maximum(targets.number, 1)


def truncated_recall(targets: Targets, k: int) -> Values:
    """Recall as a share of the min(k, n) items that can be among the first k (Liang et al. 2018)."""
    return targets.total(k) / np.maximum(np.minimum(targets.number, k), 1)


def hit(targets: Targets, k: int) -> Values:
    """1 if a target is among the first k, else 0."""
    return (targets.total(k) > 0).astype(float)


def reciprocal_rank(targets: Targets, k: int) -> Values:
    """1 / (rank + 1) of the first target, 0 if it is not among the first k; its mean is MRR."""
    return np.where(targets.first < k, 1 / (targets.first + 1.0), 0.0)


@dataclass(frozen=True)
class Metric:
    """How a metric is computed and where pages show it.

    Attributes:
        label: its name on pages.
        function: of `cases` (Targets, k) → (T,); of `lists` (lists (T, depth), ItemFacts, ks) → (T, len(ks)); of `catalogue`
            (exposure (I,)) → float.
        of: what the function computes the metric of. A metric of the catalogue has no value per user, so no interval.
        columns: by protocol, the lengths k of its columns in the main table; `10_liked` counts items rated 4 or more only.
        curve: whether it is drawn over k.
        best: the value that is marked as the best of a column.
        digits: decimals on pages.
        from_k: the shortest list that has the metric.
    """

    label: str
    function: Callable[..., Any]
    of: Literal["cases", "lists", "catalogue"] = "cases"
    columns: Mapping[Protocol, Sequence[str]] = field(default_factory=dict)
    curve: bool = False
    best: Literal["highest", "lowest"] | None = "highest"
    digits: int = 4
    from_k: int = 1


# The name of a value is `<key>@<k>`, or `<key>@<k>_liked` of items rated 4 or more.
METRICS: Mapping[str, Metric] = {
    "ndcg": Metric(
        "NDCG",
        ndcg,
        columns={"next-item": ("10", "100", "10_liked"), "fold-in": ("10", "100", "10_liked"), "mult-vae": ("100",)},
        curve=True,
    ),
    "recall": Metric(
        "Recall",
        recall,
        columns={"next-item": ("10", "100"), "fold-in": ("50", "100"), "mult-vae": ("20", "50")},
        curve=True,
    ),
    "hit": Metric("Hit", hit, columns={"fold-in": ("10",)}),
    "mrr": Metric("MRR", reciprocal_rank, columns={"next-item": ("10",)}),
    "coverage": Metric("Coverage", exposed_share, of="catalogue"),
    "gini": Metric("Gini", gini, of="catalogue", best="lowest"),
    "novelty": Metric("Novelty", novelty, of="lists", best=None),
    "ild": Metric("Diversity", intra_list_diversity, of="lists", from_k=2),
}
# The metrics by which methods are tested against one another. The first one orders the tables and shows its interval there.
COMPARED: Mapping[Protocol, tuple[str, ...]] = {
    "next-item": ("ndcg@10", "recall@10", "ndcg@10_liked"),
    "fold-in": ("ndcg@10", "recall@50", "ndcg@10_liked"),
    "mult-vae": ("ndcg@100", "recall@20", "recall@50"),
}
LIST_TABLE = tuple(f"{name}@10" for name, metric in METRICS.items() if metric.of != "cases")


def metric_of(name: str) -> Metric:
    """The metric of a value's name, such as `ndcg@10_liked`."""
    return METRICS[name.partition("@")[0]]


def label(name: str) -> str:
    """A value's name on pages."""
    key, _, rest = name.partition("@")
    return f"{metric_of(name).label if key in METRICS else key}@{rest.replace(POSITIVE, ', rated 4+')}"


def formatted(name: str, value: float | None) -> str:
    """A value on pages; a dash for None."""
    return "–" if value is None else f"{value:.{metric_of(name).digits}f}"


def columns_of(protocol: Protocol) -> list[str]:
    """The columns of a protocol's main table: the metric that decides, then all items before positive ones, short lists first."""
    found = [f"{name}@{k}" for name, metric in METRICS.items() for k in metric.columns.get(protocol, ())]

    def order(name: str) -> tuple[bool, bool, int]:
        k = name.partition("@")[2]
        return name != COMPARED[protocol][0], k.endswith(POSITIVE), int(k.removesuffix(POSITIVE))

    return sorted(found, key=order)


def accuracy_per_user(ranked: Ranked, ks: Sequence[int] = KS) -> PerUser:
    """All metrics of cases at every k, each also of the items rated 4 or more alone (`…_liked`).

    Cases without such targets are left out; a user without any has NaN.
    """
    columns: dict[str, Values] = {}
    for suffix, targets in (("", targets_of(ranked, max(ks))), (POSITIVE, targets_of(ranked, max(ks), positive=True))):
        for name, metric in METRICS.items():
            if metric.of == "cases":
                columns |= {
                    f"{name}@{k}{suffix}": _of_cases_with_targets(targets, metric.function(targets, k)) for k in ks
                }
    return mean_by_user(ranked.users, columns)


def mult_vae_per_user(ranked: Ranked) -> PerUser:
    """The metrics of the protocol's table; recall is the share of min(k, n) items, as published (Liang et al. 2018)."""
    targets, columns = targets_of(ranked, max(KS)), {}
    for name in columns_of("mult-vae"):
        key, _, k = name.partition("@")
        function = truncated_recall if key == "recall" else METRICS[key].function
        columns[name] = _of_cases_with_targets(targets, function(targets, int(k)))
    return mean_by_user(ranked.users, columns)


def lists_per_user(ranked: Ranked, items: ItemFacts) -> PerUser:
    """All metrics of lists at every k up to the depth of the lists, as means over each user's lists."""
    ks = [k for k in KS if k <= ranked.best.shape[1]]
    columns: dict[str, Values] = {}
    for name, metric in METRICS.items():
        if metric.of == "lists":
            starts = range(0, len(ranked.best), LISTS_AT_ONCE)
            parts = [metric.function(ranked.best[row : row + LISTS_AT_ONCE], items, ks) for row in starts]
            values = np.concatenate(parts) if parts else np.empty((0, len(ks)))
            columns |= {f"{name}@{k}": values[:, place] for place, k in enumerate(ks) if k >= metric.from_k}
    return mean_by_user(ranked.users, columns)


def catalogue_metrics(best: NDArray[np.int64], catalogue: int) -> dict[str, float]:
    """All metrics of the catalogue, of lists (T, depth), at every k up to depth."""
    exposed = np.zeros(catalogue, dtype=np.int64)
    found: dict[str, float] = {}
    for begin, k in pairwise((0, *(k for k in KS if k <= best.shape[1]))):
        exposed += exposure(best[:, begin:k], catalogue)
        found |= {f"{name}@{k}": one.function(exposed) for name, one in METRICS.items() if one.of == "catalogue"}
    return found


def targets_of(ranked: Ranked, deepest: int, positive: bool = False) -> Targets:
    """The distinct targets of the cases, or of those only the ones rated 4 or more, with ranks below `deepest`.

    An item that is a target of a case twice counts once, with the better of its ratings.
    """
    case = np.repeat(np.arange(len(ranked.users)), np.diff(ranked.offset))
    ranks, rated_high = ranked.ranks, ranked.positive
    span = int(ranks.max(initial=0)) + 1
    found, place = np.unique(case * span + ranks, return_inverse=True)
    if len(found) < len(case):
        case, ranks, rated_high = found // span, found % span, np.bincount(place, rated_high) > 0
    if positive:
        case, ranks = case[rated_high], ranks[rated_high]
    near = ranks < deepest
    return Targets(np.bincount(case, minlength=len(ranked.users)), case[near], ranks[near])


def _of_cases_with_targets(targets: Targets, values: Values) -> Values:
    """Values (T,), NaN for the cases without targets."""
    return np.where(targets.number > 0, values, np.nan)
