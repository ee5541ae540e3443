"""The report's section on how well every method ranks: tables, curves over k, tests between methods, what they cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd
from pydantic import Field

from evaluation.protocols.beyond_accuracy import ItemFacts, catalogue_metrics, lists_per_user
from evaluation.protocols.cases import Protocol
from evaluation.protocols.metrics import KS, PerUser, accuracy_per_user, intervals, means, mult_vae_per_user
from evaluation.protocols.names import SPLITS
from evaluation.protocols.ranking import Ranked
from evaluation.protocols.statistics import bootstrap_intervals, holm, sign_flip_test
from evaluation.report import figures
from evaluation.report.page import Chart
from evaluation.report.sections.section import Section
from storage.dataset.format import Split

Kind = Literal["policy", "champion", "baseline", "published"]
ALPHA = 0.05
# The first of each decides: it orders the tables and has its interval shown there.
COMPARED: Mapping[Protocol, tuple[str, ...]] = {
    "next-item": ("ndcg@10", "recall@10", "ndcg@10_liked"),
    "fold-in": ("ndcg@10", "recall@50", "ndcg@10_liked"),
    "mult-vae": ("ndcg@100", "recall@20", "recall@50"),
}
COLUMNS: Mapping[Protocol, tuple[str, ...]] = {
    "next-item": ("ndcg@10", "recall@10", "mrr@10", "ndcg@10_liked", "ndcg@100", "recall@100"),
    "fold-in": ("ndcg@10", "hit@10", "recall@50", "ndcg@10_liked", "ndcg@100", "recall@100"),
    "mult-vae": ("ndcg@100", "recall@20", "recall@50"),
}
LISTS = ("coverage@10", "gini@10", "novelty@10", "ild@10")
UNRANKED = ("novelty",)  # neither more nor less is better
LESS_IS_BETTER = ("gini",)
CURVES = {"ndcg": "NDCG@k", "recall": "Recall@k"}
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 2], [1, 3], [10, 4], [6, 2, 1, 2, 1, 2])


class Cost(Section):
    """What a method took on the machine that judged it."""

    work: Literal["training, with validation", "one fit"] | None = Field(
        None,
        description="What time and memory were taken for: a policy's whole training task, or a tuned baseline's fit.",
    )
    fit_seconds: float | None = Field(None, description="Wall time of that work.")
    peak_mib: float | None = Field(None, description="Most memory it added to what its process held before, MiB.")
    recommendations_per_second: float | None = Field(None, description="Lists ranked over the full catalogue.")


class MethodResult(Section):
    """One method's metrics on one split by one protocol: means over users of each user's mean over cases."""

    name: str
    split: Split
    protocol: Protocol
    kind: Kind
    metrics: dict[str, float | None]
    intervals: dict[str, tuple[float, float]] = Field(
        {}, description="95 % bootstrap intervals over users; none for coverage and Gini, which no single user has."
    )
    users: int | None = None
    cases: int | None = None
    cost: Cost = Cost()
    source: str | None = Field(None, description="Where a published number stands.")


class Comparison(Section):
    """The challenger's mean less another method's, over the users of both."""

    challenger: str
    other: str
    split: Split
    protocol: Protocol
    metric: str
    difference: float
    low: float = Field(description="Lower end of the 95 % interval of the paired bootstrap over users.")
    high: float = Field(description="Upper end of it.")
    p: float = Field(description="Two-sided sign-flip randomisation test.")
    p_adjusted: float = Field(description="After Holm, over all others on this split, protocol and metric.")

    @property
    def says(self) -> str:
        """The difference in a word."""
        if self.p_adjusted >= ALPHA:
            return "no difference shown"
        return "better" if self.difference > 0 else "worse"


class MethodsSection(Section):
    """All methods beside one another."""

    challenger: str | None = Field(None, description="The method that the others are compared with.")
    results: tuple[MethodResult, ...]
    comparisons: tuple[Comparison, ...] = ()

    def tables(self) -> list["Table"]:
        """A table per split and protocol, in the order of the results."""
        keys = dict.fromkeys((one.split, one.protocol) for one in self.results)
        return [Table(split, protocol, self) for split, protocol in keys]


class Table:
    """What is shown of one split and protocol; the best first, published numbers apart."""

    def __init__(self, split: Split, protocol: Protocol, section: MethodsSection) -> None:
        self.split, self.protocol = split, protocol
        self.columns, self.lists, self.first = COLUMNS[protocol], LISTS, COMPARED[protocol][0]
        found = [one for one in section.results if (one.split, one.protocol) == (split, protocol)]
        ordered = sorted(found, key=lambda one: -(one.metrics.get(self.first) or 0.0))
        self.rows = [one for one in ordered if one.kind != "published"]
        self.published = [one for one in ordered if one.kind == "published"]
        self.every = list(dict.fromkeys(name for one in found for name in one.metrics))
        self.comparisons = [one for one in section.comparisons if (one.split, one.protocol) == (split, protocol)]

    @property
    def id(self) -> str:
        """For places on the page."""
        return f"{self.split}-{self.protocol}"

    def label(self, name: str) -> str:
        """A metric's name for people."""
        return label(name)

    def is_best(self, row: MethodResult, name: str) -> bool:
        """Whether a number is the best of its column; no published one is, they are of other data."""
        values = [one.metrics.get(name) for one in self.rows]
        known = [value for value in values if value is not None]
        if row.kind == "published" or name.startswith(UNRANKED) or not any(known):
            return False
        return row.metrics.get(name) == (min(known) if name.startswith(LESS_IS_BETTER) else max(known))


@dataclass(frozen=True)
class Judged:
    """A method's result, and its users' values of what methods are compared by: `COMPARED`."""

    result: MethodResult
    per_user: PerUser


def judge_method(
    items: ItemFacts,
    ranked: Ranked,
    *,
    name: str,
    split: Split,
    protocol: Protocol,
    kind: Kind,
    cost: Cost | None = None,
    seed: int = 0,
) -> Judged:
    """All metrics of one method's rankings, with intervals.

    Args:
        items: of the dataset the cases are from.
        ranked: of all cases of one split and protocol.
        name: of the method.
        split: of the cases.
        protocol: of the cases.
        kind: of the method.
        cost: what is known of it.
        seed: of the bootstrap; the same for methods that are to be compared.
    """
    accuracy = mult_vae_per_user(ranked) if protocol == "mult-vae" else accuracy_per_user(ranked)
    values = accuracy.beside(lists_per_user(ranked, items))
    result = MethodResult(
        name=name,
        split=split,
        protocol=protocol,
        kind=kind,
        metrics={
            metric: finite(value)
            for metric, value in (means(values) | catalogue_metrics(ranked.best, len(items.events))).items()
        },
        intervals=intervals(values, seed),
        users=len(values.users),
        cases=len(ranked.users),
        cost=cost or Cost(),
    )
    compared = COMPARED[protocol]
    return Judged(result, PerUser(values.users, compared, np.stack([values.column(one) for one in compared], axis=1)))


def compare_methods(challenger: Judged, others: Sequence[Judged], seed: int = 0) -> list[Comparison]:
    """The challenger against every other, by each metric of `COMPARED`, tested over the same users in pairs.

    Raises:
        ValueError: the methods were not judged on the same users.
    """
    mine, split, protocol = challenger.per_user, challenger.result.split, challenger.result.protocol
    for other in others:
        if not np.array_equal(mine.users, other.per_user.users):
            raise ValueError(
                f"{challenger.result.name} and {other.result.name}: expected values of the same users; found others."
            )
    if not others or not len(mine.users):
        return []
    shape = len(others), len(mine.names)
    columns = np.concatenate([mine.values - other.per_user.values for other in others], axis=1)
    there = ~np.isnan(columns)
    differences = (np.nansum(columns, axis=0) / np.maximum(there.sum(axis=0), 1)).reshape(shape)
    ends = bootstrap_intervals(columns, seed).reshape(*shape, 2)
    p = sign_flip_test(columns, seed).reshape(shape)
    adjusted = np.apply_along_axis(holm, 0, p)
    return [
        Comparison(
            challenger=challenger.result.name,
            other=other.result.name,
            split=split,
            protocol=protocol,
            metric=metric,
            difference=float(differences[row, column]),
            low=float(ends[row, column, 0]),
            high=float(ends[row, column, 1]),
            p=float(p[row, column]),
            p_adjusted=float(adjusted[row, column]),
        )
        for column, metric in enumerate(mine.names)
        for row, other in enumerate(others)
        if there[:, row * shape[1] + column].any()
    ]


def measure_methods(judged: Sequence[Judged], challenger: str | None, seed: int = 0) -> MethodsSection:
    """The section of all methods judged, on any splits and protocols; published numbers stand by the Mult-VAE protocol's."""
    results = [one.result for one in judged]
    comparisons: list[Comparison] = []
    for split, protocol in dict.fromkeys((one.split, one.protocol) for one in results):
        group = [one for one in judged if (one.result.split, one.result.protocol) == (split, protocol)]
        named = next((one for one in group if one.result.name == challenger), None)
        # Validation users chose the challenger, its checkpoint and all shares: a test on them would not be one.
        if named is not None and split != "validation":
            comparisons += compare_methods(named, [one for one in group if one is not named], seed)
    if any((one.split, one.protocol) == ("test", "mult-vae") for one in results):
        results += PUBLISHED
    return MethodsSection(challenger=challenger, results=tuple(results), comparisons=tuple(comparisons))


def finite(value: float) -> float | None:
    """The number, or None where there is none."""
    return value if np.isfinite(value) else None


def charts(section: MethodsSection) -> list[Chart]:
    """Curves over k of every table but the Mult-VAE protocol's, and the challenger's differences to all others."""
    found: list[Chart] = []
    for table in section.tables():
        where = f"{SPLITS.get(table.split, table.split)}, {table.protocol}"
        if table.protocol != "mult-vae":
            note = "The mean over users, over the list's length k (logarithmic). Baselines grey; click a name to see it alone."
            found.append(
                (f"methods-curves-{table.id}", f"Over the list's length: {where}", note, _over_k(section, table))
            )
        if table.comparisons:
            note = (
                f"Mean {label(table.first)} of {section.challenger} less that of each other method, with the 95 % interval of "
                "the paired bootstrap over users. Right of the line it is better; grey where the test, after Holm, shows no difference."
            )
            title = f"Difference to the others: {where}"
            found.append((f"methods-differences-{table.id}", title, note, _differences(table)))
    return found


def _over_k(section: MethodsSection, table: Table) -> figures.Spec:
    rows = [
        {"method": one.name, "metric": title, "k": k, "value": one.metrics[f"{metric}@{k}"]}
        for one in section.results
        if (one.split, one.protocol) == (table.split, table.protocol)
        for metric, title in CURVES.items()
        for k in KS
    ]
    scale = figures.method_scale(*names_by_kind(section.results))
    picked = alt.selection_point(fields=["method"], bind="legend")
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_line(point={"size": 22}, strokeWidth=1.8)
        .encode(
            x=alt.X("k:Q", scale=alt.Scale(type="log"), axis=alt.Axis(values=list(KS)), title="k"),
            y=alt.Y("value:Q", title="mean over users"),
            color=alt.Color("method:N", scale=scale, title="method"),
            strokeDash=alt.StrokeDash("method:N", scale=dashed(scale), title="method"),
            opacity=alt.condition(picked, alt.value(1.0), alt.value(0.12)),
            tooltip=["method:N", "k:Q", alt.Tooltip("value:Q", format=".4f")],
        )
        .add_params(picked)
        .properties(width=330, height=230)
        .facet(facet=alt.Facet("metric:N", sort=list(CURVES.values()), title=None), columns=2)
        .resolve_scale(y="independent")
    )
    return figures.finished(chart)


def _differences(table: Table) -> figures.Spec:
    rows: list[dict[str, Any]] = [
        one.model_dump(include={"other", "difference", "low", "high", "p_adjusted"}) | {"says": one.says}
        for one in table.comparisons
        if one.metric == table.first
    ]
    order = [row["other"] for row in sorted(rows, key=lambda row: float(row["difference"]))]
    base = alt.Chart(pd.DataFrame(rows)).encode(y=alt.Y("other:N", title=None, sort=order))
    colour = alt.Color(
        "says:N",
        scale=alt.Scale(domain=list(VERDICTS), range=list(VERDICTS.values())),
        title=None,
        legend=alt.Legend(orient="bottom"),
    )
    interval = base.mark_rule(strokeWidth=1.6).encode(
        x=alt.X("low:Q", title=f"difference in {label(table.first)}", axis=alt.Axis(tickCount=5)),
        x2="high:Q",
        color=colour,
    )
    dot = base.mark_point(filled=True, size=60, opacity=1).encode(
        x="difference:Q",
        color=colour,
        tooltip=[
            "other:N",
            *(alt.Tooltip(f"{name}:Q", format=".4f") for name in ("difference", "low", "high")),
            alt.Tooltip("p_adjusted:Q", format=".2g", title="p after Holm"),
        ],
    )
    line = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(strokeDash=[3, 3], color="#808890").encode(x="zero:Q")
    return figures.finished((line + interval + dot).properties(width=420, height=max(60, 22 * len(rows))))


def dashed(colours: alt.Scale) -> alt.Scale:
    """A dash for each name of a scale of colours, so that the grey ones are told apart."""
    names: list[str] = colours.domain
    return alt.Scale(domain=names, range=[DASHES[place % len(DASHES)] for place in range(len(names))])


def names_by_kind(results: Sequence[MethodResult]) -> tuple[list[str], list[str]]:
    """Names of policies, and of all others that were judged, each in order of appearance."""
    judged = {one.name: one.kind for one in results if one.kind != "published"}
    policies = [name for name, kind in judged.items() if kind != "baseline"]
    return policies, [name for name, kind in judged.items() if kind == "baseline"]


def label(name: str) -> str:
    """A metric's name for people."""
    metric, _, rest = name.partition("@")
    return f"{LABELS.get(metric, metric)}@{rest.replace('_', ' ')}"


LABELS = {
    "ndcg": "NDCG", "recall": "Recall", "hit": "Hit", "mrr": "MRR",
    "coverage": "Coverage", "gini": "Gini", "novelty": "Novelty", "ild": "Diversity",
}  # fmt: skip
VERDICTS = {"better": "#4f9a6b", "worse": "#d65f5f", "no difference shown": "#a3a9b0"}
LIANG, STECK = "Liang et al. 2018, table 2, ML-20M", "Steck 2019, table 1, ML-20M"
PUBLISHED = [
    MethodResult(
        name=name,
        split="test",
        protocol="mult-vae",
        kind="published",
        metrics={"recall@20": recall_20, "recall@50": recall_50, "ndcg@100": ndcg},
        source=source,
    )
    for name, recall_20, recall_50, ndcg, source in (
        ("Mult-VAE (published)", 0.395, 0.537, 0.426, LIANG),
        ("Mult-DAE (published)", 0.387, 0.524, 0.419, LIANG),
        ("CDAE (published)", 0.391, 0.523, 0.418, LIANG),
        ("SLIM (published)", 0.370, 0.495, 0.401, LIANG),
        ("WMF (published)", 0.360, 0.498, 0.386, LIANG),
        ("EASE (published)", 0.391, 0.521, 0.420, STECK),
    )
]
