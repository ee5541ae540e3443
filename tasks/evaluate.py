"""The evaluation stage: makes the report of a dataset and its policies."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import vl_convert
from prefect import task

from evaluation.baselines import BaselineParams, fit_baselines, tune_baselines, tuning_table
from evaluation.costs import measured
from evaluation.evaluate import EvaluateParams, evaluate_and_measure
from evaluation.protocols.population_stability import Stability
from evaluation.protocols.promotion import ChampionComparison
from evaluation.report.evidence import ComparedMethod, Subject
from evaluation.report.registry import OPTIONAL
from evaluation.report.report import (
    costs_table,
    methods_table,
    pictures,
    templates_sha256,
    verdict_markdown,
    write_report,
)
from evaluation.report.sections.cards.numbers import Provenance, flat, input_of
from evaluation.report.sections.methods.numbers import Cost, Kind
from models.learners.registry import entry_of
from serving.stored_policies import curves_of, facts_of, load_on
from storage.artifacts.manifest import Manifest, package_versions
from storage.artifacts.store import ArtifactRef, Draft
from storage.dataset.reader import TransitionDataset
from tasks.caching import artifact_store, artifact_task
from tasks.catalogue import genres_of, titles_of
from tasks.datasets import open_dataset
from tasks.fingerprint import code_fingerprint
from tasks.progress import Progress
from tasks.sample import simulated_dataset
from tasks.story import link, show_image, show_table, show_text

LEAVE_ONE_OUT_CAUTION = (
    "The dataset holds out the last two events of every user, so every test user was also trained on. Compare these numbers "
    "only with others of the leave-one-out protocol.",
)
STEPS = 6 + len(OPTIONAL)  # of an evaluation: sets of cases and optional sections


@artifact_task("baselines")
def make_baselines(draft: Draft, dataset: ArtifactRef, params: BaselineParams) -> None:
    """Tune every baseline on the validation users; keep the scores of all candidates, but not the fits, which are fast."""
    data = open_dataset(dataset)
    progress = Progress("tune-baselines", "Tuning baselines on validation users")
    tuned = tune_baselines(data, params, lambda _: progress.step(len(params.names)))
    (draft.path / "baselines.json").write_text(json.dumps(tuned, indent=2, allow_nan=False))
    draft.rows = sum(map(len, tuned.values()))
    draft.facts = {"max_items": params.max_items, "tuning": tuning_table(tuned)}


@artifact_task("report")
def make_report(
    draft: Draft,
    dataset: ArtifactRef,
    policies: dict[str, ArtifactRef],
    champion: dict[str, ArtifactRef],
    baselines: ArtifactRef,
    about: dict[str, ArtifactRef],
    params: EvaluateParams,
    template: str,
) -> None:
    """Evaluate the policies, the champion if there is one, and the baselines, and write the report.

    Args:
        draft: of the report.
        dataset: on whose users the methods are evaluated.
        policies: by name.
        champion: empty, or the champion by its name.
        baselines: their tuning.
        about: further artifacts: `movies` for genres, `sample` for the true preferences of generated ratings, `comparison`
            of the best policy with the champion, `drift` of later events.
        params: how to evaluate.
        template: the digest of the page's templates.
    """
    store = artifact_store()
    data = open_dataset(dataset)
    made = store.manifest(dataset)
    learnt = {**policies, **champion}
    manifests = {name: store.manifest(ref) for name, ref in learnt.items()}
    tuning = store.manifest(baselines).facts
    inputs = {"dataset": dataset, **learnt, "baselines": baselines, **about}
    # Their numbers are parsed here rather than by the tasks that made them: the imports of a task are its digest's code.
    compared, drift = None, []
    if "comparison" in about:
        compared = ChampionComparison.model_validate(store.manifest(about["comparison"]).facts)
    if "drift" in about:
        drift = [Stability.model_validate(one) for one in store.manifest(about["drift"]).facts["measures"]]
    subject = Subject(
        title="Marquee: recommendation policies" + (" on generated data" if made.generated else ""),
        titles=titles_of(dataset, about),
        groups=genres_of(dataset, about),
        simulated=simulated_dataset(data, about["sample"]) if "sample" in about else None,
        dataset=made,
        policies=manifests,
        curves={name: curves_of(store.open(ref)) for name, ref in learnt.items()},
        tuning=tuning["tuning"],
        cautions=LEAVE_ONE_OUT_CAUTION if data.head.leave_one_out else (),
        comparison=compared,
        drift=drift,
        provenance=Provenance(
            report=draft.digest,
            code=code_fingerprint(make_report),
            inputs=tuple(input_of(role, store.manifest(ref), ref.origin) for role, ref in inputs.items()),
            parameters=flat(params.model_dump(mode="json")),
            versions=package_versions(),
        ),
    )
    compared_methods = [
        compared_method(name, ref, data, "champion" if name in champion else "policy") for name, ref in learnt.items()
    ]
    progress = Progress("evaluate", "Evaluating policies and baselines")
    compared_methods += fitted(data, {row["name"]: row["config"] for row in tuning["tuning"]}, tuning["max_items"])
    with Rankings(draft.path / "rankings.parquet") as rankings:
        found = evaluate_and_measure(
            data, compared_methods, subject, params, rankings.keep, lambda _: progress.step(STEPS)
        )
    report = write_report(draft.path, found)
    for name, chart in pictures(report).items():
        (draft.path / f"{name}.png").write_bytes(vl_convert.vegalite_to_png(json.dumps(chart.spec), scale=1.5))
    draft.rows = rankings.rows
    draft.facts = {
        "headline": report.verdict.headline,
        "challenger": report.verdict.challenger,
        "outcome": report.verdict.outcome,
        "markdown": verdict_markdown(report),
        "methods": methods_table(report),
        "costs": costs_table(report),
        "baselines": {
            "max_items": tuning["max_items"],
            "configs": {row["name"]: row["config"] for row in tuning["tuning"]},
        },
    }


class Rankings:
    """The writer of rankings.parquet: a row per method and case."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        self.writer: pq.ParquetWriter | None = None

    def keep(self, table: pa.Table) -> None:
        """Append the rankings of one method for one set of cases."""
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.path, table.schema, compression="zstd")
        self.writer.write_table(table)
        self.rows += table.num_rows

    def __enter__(self) -> "Rankings":
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()


def compared_method(name: str, ref: ArtifactRef, data: TransitionDataset, kind: Kind) -> ComparedMethod:
    """A stored policy as one of the methods of a report; a learner that is a trained baseline counts as one."""
    store = artifact_store()
    manifest = store.manifest(ref)
    scorer = load_on(store.open(ref), data)
    facts = facts_of(manifest)
    entry = entry_of(facts.learner)
    actual: Kind = "baseline" if entry is not None and entry.baseline and kind == "policy" else kind
    cost = Cost(
        work="training, with validation",
        fit_seconds=manifest.seconds + facts.seconds_of_members,
        peak_mib=facts.peak_mib,
    )
    return ComparedMethod(name, actual, scorer, cost)


def fitted(data: TransitionDataset, chosen: Mapping[str, Mapping[str, Any]], max_items: int) -> list[ComparedMethod]:
    """The baselines, fitted with their selected hyper-parameters, and the cost of each fit."""
    found = []
    for name, config in chosen.items():
        scorers, seconds, peak = measured(partial(fit_baselines, data, {name: config}, max_items))
        cost = Cost(work="one fit", fit_seconds=seconds, peak_mib=peak)
        found.append(ComparedMethod(name, "baseline", scorers[name], cost))
    return found


def evaluate(
    dataset: ArtifactRef,
    policies: dict[str, ArtifactRef],
    params: EvaluateParams,
    champion: ArtifactRef | None = None,
    compared: ArtifactRef | None = None,
) -> ArtifactRef:
    """Tune the baselines, make the report and show it; the digest of its templates is part of its recipe.

    Args:
        dataset: on whose users the methods are evaluated.
        policies: by name.
        params: how to evaluate.
        champion: the published one; if it is one of the policies, it is evaluated once, as that policy.
        compared: the champion-comparison of the best policy.
    """
    baselines = make_baselines(dataset, params.baselines)
    known = champion is None or champion.sha256 in [ref.sha256 for ref in policies.values()]
    beside = {} if champion is None or known else {"champion": champion}
    about = about_dataset(dataset) | ({"comparison": compared} if compared else {})
    report = make_report(dataset, policies, beside, baselines, about, params, templates_sha256())
    show_report(report)
    return report


def about_dataset(dataset: ArtifactRef) -> dict[str, ArtifactRef]:
    """Artifacts of this store: a dataset's `movies`, the `sample` of its ratings, and the `drift` that was measured for it."""
    store = artifact_store()

    def manifest_of(kind: str, digest: str | None) -> Manifest | None:
        found = store.find(kind, digest) if digest else None
        return store.manifest(found) if found else None

    made = store.manifest(dataset).recipe.inputs
    about = {}
    items, events = manifest_of("items", made.get("items")), manifest_of("events", made.get("events"))
    if items and (movies := store.find("movies", items.recipe.inputs.get("movies", ""))):
        about["movies"] = movies
    ratings = events.recipe.parameters.get("sha256", {}).get("ratings") if events else None
    for sample in store.manifests("sample"):
        if ratings in [entry.sha256 for entry in sample.files if entry.path == "ratings.csv"]:
            about.setdefault("sample", store.ref(sample))
    for drift in store.manifests("drift"):
        if drift.recipe.inputs["dataset"] == dataset.digest:
            about.setdefault("drift", store.ref(drift))
    return about


@task(name="show-report")
def show_report(report: ArtifactRef) -> None:
    """Show the report's verdict, numbers, charts and path in the Prefect UI."""
    store = artifact_store()
    facts, folder = store.manifest(report).facts, store.open(report)
    show_table("methods", facts["methods"], "Next-item ranking on test users, mean over users")
    show_table("costs", facts["costs"], "What the methods cost on this machine")
    show_text("report", f"{facts['markdown']}\n\nReport: {link(folder / 'report.html')}", "Evaluation report")
    for name, description in (
        ("verdict", "The challenger's difference to each opponent"),
        ("curves", "Metrics over the length of the list"),
        ("popularity", "Popularity of the recommended items"),
    ):
        if (picture := folder / f"{name}.png").is_file():
            show_image(f"report-{name}", picture, description)
