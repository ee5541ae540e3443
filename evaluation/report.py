"""The report: one self-contained page for people, the same numbers as JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import figures, training
from evaluation.criterion import CRITERION
from evaluation.distribution import kl_divergence, mean_distances, wasserstein
from evaluation.page import number, render_page, without_nan


@dataclass(frozen=True)
class RankingResult:
    """Metrics of one method on one split, each the mean over users of the user's mean over steps."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]  # 95 %, bootstrap over users; none for coverage
    users: int
    steps: int


@dataclass(frozen=True)
class Method:
    """One method's result on one split; `baseline` says that it is there to be beaten."""

    name: str
    split: str
    result: RankingResult
    baseline: bool


@dataclass(frozen=True)
class Example:
    """What the methods recommend to one user at one step."""

    user: str
    history: list[tuple[str, float]]  # title, rating
    target: str
    target_rating: float
    recommendations: dict[str, list[str]]


@dataclass(frozen=True)
class ReportInput:
    """All that the report says."""

    title: str
    generated: bool
    k: int
    dataset: dict[str, Any]
    licences: Sequence[str]
    curves: pd.DataFrame  # learner, step, split, metric, value
    learners: dict[str, dict[str, Any]]  # name → config and selected step
    methods: Sequence[Method]
    actions: dict[str, dict[str, NDArray[np.float32]]]  # learner → set (real, train, test) → (N, D)
    errors: dict[str, dict[str, NDArray[np.float64]]]  # learner → set (real, train, test, noise) → (N,)
    tuning: Sequence[dict[str, Any]] = ()  # per baseline: name, config, validation metrics, number tried, worst
    examples: Sequence[Example] = ()
    warnings: dict[str, Sequence[dict[str, Any]]] = field(default_factory=dict)  # learner → kind, step, message
    lineage: dict[str, str] = field(default_factory=dict)


def write_report(folder: Path, data: ReportInput) -> dict[str, Any]:
    """Write report.html and report.json below `folder`; returns what the JSON holds. Equal input gives equal bytes."""
    numbers = report_numbers(data)
    (folder / "report.json").write_text(json.dumps(numbers, indent=2, sort_keys=True, allow_nan=False))
    page = render_page(
        "report.html.j2",
        data.title,
        [*charts(data), *training.charts(data.curves)],
        diagnostics=training.CHARTS,
        data=data,
        numbers=numbers,
        headline=headline(numbers["methods"], data.k),
        criterion=CRITERION,
    )
    (folder / "report.html").write_text(page)
    return numbers


def report_numbers(data: ReportInput) -> dict[str, Any]:
    """The report's numbers, ready for JSON: no NaN, no infinity."""
    numbers = {
        "format": "marquee-report/1",
        "title": data.title,
        "generated": data.generated,
        "k": data.k,
        "dataset": data.dataset,
        "licences": list(data.licences),
        "lineage": data.lineage,
        "learners": data.learners,
        "baselines": list(data.tuning),
        "warnings": {learner: list(warnings) for learner, warnings in data.warnings.items()},
        "methods": [
            {
                "name": method.name,
                "split": method.split,
                "baseline": method.baseline,
                "metrics": method.result.metrics,
                "intervals": {name: list(bounds) for name, bounds in method.result.intervals.items()},
                "users": method.result.users,
                "steps": method.result.steps,
            }
            for method in data.methods
        ],
        "distances": {
            learner: {kind: mean_distances(kind, sets) for kind in ("cosine", "euclidean")}
            for learner, sets in data.actions.items()
        },
        "anomaly": {
            learner: {
                name: {
                    "mean_error": float(errors.mean()),
                    "wasserstein_to_real": wasserstein(errors, sets["real"]),
                    "kl_to_real": kl_divergence(sets["real"], errors),
                }
                for name, errors in sets.items()
            }
            for learner, sets in data.errors.items()
        },
    }
    clean: dict[str, Any] = without_nan(numbers)
    return clean


def headline(methods: Sequence[dict[str, Any]], k: int) -> str:
    """One sentence: does a policy rank test users' next movies best, and how does it stand to the baselines?"""
    metric = f"ndcg@{k}"
    test = sorted(
        (method for method in methods if method["split"] == "test"),
        key=lambda method: -float(method["metrics"][metric]),
    )
    policies = [method for method in test if not method["baseline"]]
    baselines = [method for method in test if method["baseline"]]
    if not policies or not baselines:
        return "No test users were left to judge on."
    policy, baseline = policies[0], baselines[0]
    popular = next((method for method in baselines if method["name"] == "popularity"), baseline)
    value = {method["name"]: f"{method['metrics'][metric]:.4f}" for method in test}
    against = ", ".join(f"{name} {value[name]}" for name in dict.fromkeys((baseline["name"], popular["name"])))
    reached = f"NDCG@{k} {value[policy['name']]}; {against}"
    if test[0] is not policy:
        loses = policy["metrics"][metric] <= popular["metrics"][metric]
        verdict = "not even popularity" if loses else "popularity, but not every baseline"
        return f"The best policy, {policy['name']}, beats {verdict} on the test users ({reached})."
    low, high = policy["intervals"][metric][0], baseline["intervals"][metric][1]
    apart = "the intervals do not overlap" if low > high else "but the intervals overlap"
    return f"{policy['name']} ranks best on the test users ({reached}); {apart}."


def methods_table(numbers: dict[str, Any]) -> list[dict[str, Any]]:
    """Methods and their metrics as rows, for a table in the Prefect UI."""
    return [
        {"method": method["name"], "split": method["split"]}
        | {name: number(value) for name, value in sorted(method["metrics"].items())}
        for method in numbers["methods"]
    ]


def charts(data: ReportInput) -> list[tuple[str, str, str, figures.Spec]]:
    """(id, title, note, specification) of every chart."""
    ndcg, recall, coverage = f"ndcg@{data.k}", f"recall@{data.k}", f"coverage@{data.k}"
    made = []
    if data.methods:
        rows = [
            {
                "method": method.name,
                "baseline": method.baseline,
                "metric": name,
                "value": value,
                "low": method.result.intervals.get(name, (value, value))[0],
                "high": method.result.intervals.get(name, (value, value))[1],
            }
            for method in data.methods
            if method.split == "test"
            for name, value in method.result.metrics.items()
        ]
        note = "Test users; whiskers are 95 % bootstrap intervals over users."
        made.append(("ranking", "Ranking", note, figures.bars(pd.DataFrame(rows), (ndcg, recall, coverage))))
    note = "Dashed: the same losses on users that training never saw."
    made.append(("losses", "Losses", note, figures.curves(data.curves, ("critic_loss", "actor_loss"), "loss")))
    note = "Ranking on the validation users while training; the best point is the policy that is kept."
    made.append(
        ("validation", "Validation ranking", note, figures.curves(data.curves, (ndcg, recall), "mean over users"))
    )
    for learner, sets in data.actions.items():
        for kind in ("cosine", "euclidean"):
            note = "Logged actions (real), and the policy's on training and on test users; every cell is one pair."
            spec = figures.matrix(kind, sets)
            made.append((f"{kind}-{learner}", f"{kind.title()} distances, {learner}", note, spec))
    for learner, errors in data.errors.items():
        note = "An autoencoder fitted to real training actions; the further right, the less like anything logged."
        spec = figures.densities(errors)
        made.append((f"errors-{learner}", f"Reconstruction errors, {learner}", note, spec))
    return made
