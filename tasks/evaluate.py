"""Policies and a dataset in, the report out."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from pydantic import BaseModel, ConfigDict, Field

from evaluation.baselines import BaselineParams, fit_baselines, tune_baselines, tuning_table
from evaluation.beyond_accuracy import coverage
from evaluation.cases import choose, next_item_cases, next_item_cases_at
from evaluation.metrics import accuracy_per_user, means
from evaluation.page import template_sha256
from evaluation.ranking import Ranked, rank_cases, rankings_table
from evaluation.report import Example, Method, RankingResult, ReportInput, headline, methods_table, write_report
from evaluation.statistics import bootstrap_intervals
from models.autoencoder import fit_autoencoder
from models.histories import Histories, Scorer
from models.learners import SEQUENTIAL
from storage.artifacts import ArtifactRef, Draft
from storage.transitions import TransitionDataset
from storage.transitions_format import Split
from tasks.caching import artifact_store, artifact_task
from tasks.ingest import read_table
from tasks.learning import Publishable
from tasks.policies import load_policy
from tasks.progress import Progress

SPLITS: tuple[Split, ...] = ("test", "time", "validation")


class EvaluateParams(BaseModel):
    """How policies are judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: int = Field(10, ge=1, le=100, description="Length of a recommendation list.")
    steps_per_user: int = Field(20, ge=1, le=1000, description="At most so many last events of a user are predicted.")
    max_steps: int = Field(50_000, ge=10, description="At most so many predicted events per split, drawn at random.")
    sample: int = Field(500, ge=50, le=10_000, description="Actions per set in distances and reconstruction errors.")
    examples: int = Field(4, ge=0, le=50, description="Test users whose recommendations are shown.")
    seed: int = Field(0, ge=0, description="Of every draw.")
    baselines: BaselineParams = Field(BaselineParams(), description="What policies are held against, and its tuning.")


@artifact_task("baselines")
def make_baselines(draft: Draft, dataset: ArtifactRef, params: BaselineParams) -> None:
    """Tune every baseline on the validation users; keeps all candidates' scores, not the fits, which are quick."""
    data = TransitionDataset.open(artifact_store().open(dataset) / "transitions.h5")
    progress = Progress("tune-baselines", "Tuning baselines on validation users")
    done: list[str] = []

    def show(name: str) -> None:
        done.append(name)
        progress.show(len(done), len(params.names))

    tuned = tune_baselines(data, params, show)
    (draft.path / "baselines.json").write_text(json.dumps(tuned, indent=2, allow_nan=False))
    draft.rows = sum(map(len, tuned.values()))
    draft.facts = {"max_items": params.max_items, "tuning": tuning_table(tuned)}


@artifact_task("report")
def make_report(
    draft: Draft,
    dataset: ArtifactRef,
    policies: dict[str, ArtifactRef],
    baselines: ArtifactRef,
    params: EvaluateParams,
    template: str,
) -> None:
    """Judge the policies beside the baselines and write the report."""
    store = artifact_store()
    data = TransitionDataset.open(store.open(dataset) / "transitions.h5")
    titles = read_table(dataset, "items.parquet")["title"].to_pylist()
    learnt = {name: load_policy(store.open(ref), data.embedding) for name, ref in policies.items()}
    tuning = store.manifest(baselines).facts
    chosen = {row["name"]: row["config"] for row in tuning["tuning"]}
    scorers: dict[str, Scorer] = {**learnt, **fit_baselines(data, chosen, tuning["max_items"])}
    methods, rankings = [], []
    for split in SPLITS:
        cases = next_item_cases(data, split, params.steps_per_user, params.max_steps, params.seed)
        for name, scorer in scorers.items() if len(cases) else ():
            ranked = rank_cases(data, scorer, cases)
            methods.append(Method(name, split, reduced(ranked, data.items, params), name in (*chosen, *SEQUENTIAL)))
            rankings.append(rankings_table(data, cases, ranked, name))
    pq.write_table(pa.concat_tables(rankings), draft.path / "rankings.parquet")
    manifest = store.manifest(dataset)
    manifests = {name: store.manifest(ref) for name, ref in policies.items()}
    actions, errors = action_sets(data, learnt, params)
    report = ReportInput(
        title="Marquee: recommendation policies" + (" on generated data" if manifest.generated else ""),
        generated=manifest.generated,
        k=params.k,
        dataset={key: value for key, value in manifest.facts.items() if isinstance(value, int | str)},
        licences=manifest.licences,
        curves=pd.concat(
            [
                pq.read_table(store.open(ref) / "metrics.parquet").to_pandas().assign(learner=name)
                for name, ref in policies.items()
            ]
        ),
        learners={
            name: {fact: found.facts.get(fact) for fact in ("selected_update", "updates", "diverged", "device")}
            | found.recipe.parameters["trainer"]
            | flat(found.recipe.parameters["config"])
            | {f"tuned {name}": share for name, share in found.facts.get("shares", {}).items()}
            for name, found in manifests.items()
        },
        tuning=tuning["tuning"],
        methods=methods,
        actions=actions,
        errors=errors,
        examples=examples(data, scorers, titles, params),
        warnings={name: found.facts.get("warnings", []) for name, found in manifests.items()},
        lineage={"dataset": dataset.digest, "baselines": baselines.digest}
        | {name: ref.digest for name, ref in policies.items()},
    )
    numbers = write_report(draft.path, report)
    draft.rows = len(methods)
    draft.facts = {"headline": headline(numbers["methods"], params.k), "methods": numbers["methods"], "k": params.k}


def reduced(ranked: Ranked, items: int, params: EvaluateParams) -> RankingResult:
    """The metrics at k of one method on one split."""
    per_user = accuracy_per_user(ranked, (params.k,))
    intervals = bootstrap_intervals(per_user.values, params.seed).tolist()
    metrics = means(per_user) | {f"coverage@{params.k}": coverage(ranked.best[:, : params.k], items)}
    named = dict(zip(per_user.names, map(tuple, intervals), strict=True))
    return RankingResult(metrics, named, len(per_user.users), len(ranked.users))


def flat(nested: dict[str, Any]) -> dict[str, Any]:
    """Parameters of parameters under names with dots."""
    found: dict[str, Any] = {}
    for name, value in nested.items():
        found |= (
            {f"{name}.{inner}": part for inner, part in flat(value).items()}
            if isinstance(value, dict)
            else {name: value}
        )
    return found


def action_sets(
    data: TransitionDataset, policies: dict[str, Publishable], params: EvaluateParams
) -> tuple[dict[str, dict[str, NDArray[np.float32]]], dict[str, dict[str, NDArray[np.float64]]]]:
    """Per learner: logged and policy's actions, and how badly an autoencoder of logged training actions rebuilds them."""
    training = data.starts("train")
    train = choose(training, params.sample, params.seed)
    held_out = data.starts("test")
    test = choose(held_out if len(held_out) else data.starts("validation"), params.sample, params.seed)
    logged = data.embedding[data.target_items(choose(training, 20 * params.sample, params.seed + 1))]
    autoencoder = fit_autoencoder(logged, seed=params.seed)
    real = data.embedding[data.target_items(test)]
    generator = torch.Generator().manual_seed(params.seed)
    noise = torch.nn.functional.normalize(torch.randn(real.shape, generator=generator), dim=1) * real.norm(
        dim=1, keepdim=True
    )
    actions, errors = {}, {}
    for name, policy in policies.items():
        sets = {
            "real": real,
            "train": policy.act(Histories(*data.histories(train))),
            "test": policy.act(Histories(*data.histories(test))),
        }
        actions[name] = {kind: values.numpy() for kind, values in sets.items()}
        errors[name] = {
            kind: autoencoder.errors(values).double().numpy() for kind, values in (sets | {"noise": noise}).items()
        }
    return actions, errors


def examples(
    data: TransitionDataset, scorers: dict[str, Scorer], titles: list[str], params: EvaluateParams
) -> list[Example]:
    """What every method recommends to some test users, drawn at random, at their last step."""
    starts = choose(data.last_starts("test", 1), params.examples, params.seed)
    if not len(starts):
        return []
    cases = next_item_cases_at(data, "test", starts)
    lists = {name: rank_cases(data, scorer, cases, params.k).best for name, scorer in scorers.items()}
    shown = []
    for row, (start, user) in enumerate(zip(starts.tolist(), data.users_of(starts).tolist(), strict=True)):
        target = start + data.frame
        window = range(max(start, target - 5), target)
        shown.append(
            Example(
                user=str(data.user_ids[user]),
                history=[(titles[int(data.item[event])], data.rating(event)) for event in window],
                target=titles[int(data.item[target])],
                target_rating=data.rating(target),
                recommendations={name: [titles[item] for item in best[row]] for name, best in lists.items()},
            )
        )
    return shown


def evaluate(dataset: ArtifactRef, policies: dict[str, ArtifactRef], params: EvaluateParams) -> ArtifactRef:
    """Tune the baselines, make the report and show it; its template is part of what it is made of."""
    baselines = make_baselines(dataset, params.baselines)
    report = make_report(dataset, policies, baselines, params, template_sha256("report.html.j2"))
    show_report(report)
    return report


@task(name="show-report")
def show_report(report: ArtifactRef) -> None:
    """Put the report's headline, numbers and place into the UI."""
    manifest = artifact_store().manifest(report)
    page = artifact_store().open(report) / "report.html"
    create_table_artifact(
        key="methods", table=methods_table(manifest.facts), description="Next-item ranking, mean over users"
    )
    create_markdown_artifact(
        key="report",
        description="Evaluation report",
        markdown=f"{manifest.facts['headline']}\n\nReport: [{page}]({page.as_uri()})",
    )
