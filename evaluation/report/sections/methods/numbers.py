"""How well every method ranks: its metrics on every set of cases, the tests between methods, and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from evaluation.protocols.beyond_accuracy import ItemFacts
from evaluation.protocols.cases import Cases, Protocol
from evaluation.protocols.metrics import (
    COMPARED,
    LIST_TABLE,
    accuracy_per_user,
    catalogue_metrics,
    columns_of,
    lists_per_user,
    metric_of,
    mult_vae_per_user,
)
from evaluation.protocols.per_user import PerUser, finite, intervals, means
from evaluation.protocols.ranking import Ranked
from evaluation.record import Record
from evaluation.report.sections.methods.comparisons import Comparison, compare_best, compare_methods
from evaluation.report.sections.methods.published import LEAVE_ONE_OUT, MULT_VAE, Published
from models.baselines.registry import BASELINES
from storage.dataset.format import Split
from storage.dataset.splits import SplitMode

Kind = Literal["policy", "champion", "baseline", "published"]


class Cost(Record):
    """What a method took on the machine of the evaluation."""

    work: Literal["training, with validation", "one fit"] | None = Field(
        None, description="What was timed: a policy's whole training task, or the fit of a tuned baseline."
    )
    fit_seconds: float | None = Field(None, description="Wall time of that work.")
    peak_mib: float | None = Field(None, description="Peak memory it added to its process, MiB.")
    recommendations_per_second: float | None = Field(None, description="Rankings of the full catalogue per second.")


class MethodResult(Record):
    """One method's metrics on one split by one protocol: means over users of each user's mean over cases."""

    name: str
    split: Split
    protocol: Protocol
    kind: Kind
    metrics: dict[str, float | None]
    intervals: dict[str, tuple[float, float]] = Field(
        {}, description="95 % bootstrap intervals over users; coverage and Gini have no value per user, so no interval."
    )
    users: int | None = None
    cases: int | None = None
    cost: Cost = Cost()
    source: str | None = Field(None, description="The publication of a published result.")

    def value(self, metric: str) -> float:
        """A metric by which methods are ordered; 0 if it has no value."""
        return self.metrics.get(metric) or 0.0


class BaselineNote(Record):
    """How a baseline works."""

    name: str
    summary: str
    paper: str = Field(description="The publication it is from; empty if it needs no source.")


class MethodsSection(Record):
    """All methods."""

    mode: SplitMode = Field(
        "users", description="What was held out from training: users, or the last two events of every user."
    )
    challenger: str | None = Field(None, description="The method that the others are compared with.")
    results: tuple[MethodResult, ...]
    comparisons: tuple[Comparison, ...] = ()
    best: tuple[Comparison, ...] = Field(
        (),
        description="By split and protocol, the policy with the highest value against the baseline with the highest, by the "
        "first metric. Both are chosen on these same users, which favours both.",
    )
    baselines: tuple[BaselineNote, ...] = Field((), description="The baselines among the results.")

    @property
    def ndcg_of_test_users(self) -> dict[str, float]:
        """By method the NDCG@10 of test users' next items."""
        found = {one.name: one.metrics.get("ndcg@10") for one in self.of("test", "next-item")}
        return {name: value for name, value in found.items() if value is not None}

    def of(self, split: Split, protocol: Protocol) -> list[MethodResult]:
        """The results on one set of cases."""
        return [one for one in self.results if (one.split, one.protocol) == (split, protocol)]

    def tables(self) -> list["Table"]:
        """A table per split and protocol, in the order of the results."""
        keys = dict.fromkeys((one.split, one.protocol) for one in self.results)
        return [Table(split, protocol, self) for split, protocol in keys]


class Table:
    """What is shown of one split and protocol: methods with the best first, published results apart."""

    def __init__(self, split: Split, protocol: Protocol, section: MethodsSection) -> None:
        self.split, self.protocol, self.id = split, protocol, f"{split}-{protocol}"
        self.columns, self.lists, self.first = columns_of(protocol), LIST_TABLE, COMPARED[protocol][0]
        found = section.of(split, protocol)
        ordered = sorted(found, key=lambda one: -one.value(self.first))
        self.rows = [one for one in ordered if one.kind != "published"]
        self.published = [one for one in ordered if one.kind == "published"]
        self.every = list(dict.fromkeys(name for one in found for name in one.metrics))
        self.comparisons = [one for one in section.comparisons if (one.split, one.protocol) == (split, protocol)]

    def is_best(self, row: MethodResult, name: str) -> bool:
        """Whether a value is the best of its column; published results are of other data and never are."""
        values = [one.metrics.get(name) for one in self.rows]
        known, best = [value for value in values if value is not None], metric_of(name).best
        if row.kind == "published" or best is None or not any(known):
            return False
        return row.metrics.get(name) == (min(known) if best == "lowest" else max(known))


@dataclass(frozen=True)
class EvaluatedMethod:
    """A method's result, and per user the metrics by which methods are tested: `COMPARED`."""

    result: MethodResult
    per_user: PerUser


def evaluate_method(
    items: ItemFacts, ranked: Ranked, cases: Cases, name: str, kind: Kind, cost: Cost | None = None, seed: int = 0
) -> EvaluatedMethod:
    """All metrics of one method's rankings, with intervals.

    Args:
        items: of the dataset the cases are from.
        ranked: of all cases.
        cases: of one split and protocol.
        name: of the method.
        kind: of the method.
        cost: of the method, if known.
        seed: of the bootstrap; the same for methods that will be compared.
    """
    accuracy = mult_vae_per_user(ranked) if cases.protocol == "mult-vae" else accuracy_per_user(ranked)
    values = accuracy.beside(lists_per_user(ranked, items))
    result = MethodResult(
        name=name,
        split=cases.split,
        protocol=cases.protocol,
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
    compared = COMPARED[cases.protocol]
    return EvaluatedMethod(
        result, PerUser(values.users, compared, np.stack([values.column(one) for one in compared], axis=1))
    )


def choose_challenger(evaluated: Sequence[EvaluatedMethod]) -> str | None:
    """The policy with the best next-item ranking on validation users, the first of equals; the champion if it is alone."""
    found = [one.result for one in evaluated if (one.result.split, one.result.protocol) == ("validation", "next-item")]
    metric = COMPARED["next-item"][0]
    for kind in ("policy", "champion"):
        if those := [one for one in found if one.kind == kind]:
            return max(those, key=lambda one: one.value(metric)).name
    return None


def measure_methods(
    evaluated: Sequence[EvaluatedMethod], challenger: str | None, seed: int = 0, mode: SplitMode = "users"
) -> MethodsSection:
    """Compare all evaluated methods with the challenger; published results are added to those of the same protocol.

    Args:
        evaluated: every method on every set of cases.
        challenger: the method that the others are compared with.
        seed: of the tests.
        mode: what was held out.
    """
    results = [one.result for one in evaluated]
    comparisons: list[Comparison] = []
    best: list[Comparison] = []
    for split, protocol in dict.fromkeys((one.split, one.protocol) for one in results):
        group = [one for one in evaluated if (one.result.split, one.result.protocol) == (split, protocol)]
        named = next((one for one in group if one.result.name == challenger), None)
        # The challenger, its checkpoint and its term weights were selected on validation users: a test on them is biased.
        if named is not None and split != "validation":
            comparisons += compare_methods(named, [one for one in group if one is not named], seed)
        if split != "validation":
            best += compare_best(group, comparisons, seed)
    if any((one.split, one.protocol) == ("test", "mult-vae") for one in results):
        results += published(MULT_VAE, "mult-vae")
    if mode == "leave-one-out":
        results += published(LEAVE_ONE_OUT, "next-item")
    baselines = dict.fromkeys(one.name for one in results if one.kind == "baseline")
    notes = [
        BaselineNote(name=name, summary=BASELINES[name].summary, paper=BASELINES[name].paper)
        for name in baselines
        if name in BASELINES
    ]
    return MethodsSection(
        mode=mode,
        challenger=challenger,
        results=tuple(results),
        comparisons=tuple(comparisons),
        best=tuple(best),
        baselines=tuple(notes),
    )


def published(found: Sequence[Published], protocol: Protocol) -> list[MethodResult]:
    """Published results as rows of the test users' table."""
    return [
        MethodResult(
            name=one.name, split="test", protocol=protocol, kind="published", metrics=one.metrics, source=one.source
        )
        for one in found
    ]
