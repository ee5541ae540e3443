"""A dataset and methods in, the report out: every method answers the same cases, every section is measured from that."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from evaluation.baselines import BaselineParams, with_whole_histories
from evaluation.off_policy.estimates import OffPolicyParams
from evaluation.protocols.beyond_accuracy import ItemFacts
from evaluation.protocols.cases import Cases, fold_in_cases, mult_vae_cases, next_item_cases
from evaluation.protocols.criterion import CRITERION
from evaluation.protocols.distances import Acting
from evaluation.protocols.ranking import rank_cases, rankings_table
from evaluation.report.projection import Way
from evaluation.report.report import Report
from evaluation.report.sections import cards
from evaluation.report.sections.actions import measure_actions
from evaluation.report.sections.distances import measure_distances
from evaluation.report.sections.embedding_map import MOST_POINTS, EmbeddingMapSection, measure_embedding_map
from evaluation.report.sections.examples import ExamplesSection, measure_examples
from evaluation.report.sections.methods import Cost, Judged, Kind, MethodsSection, judge_method, measure_methods
from evaluation.report.sections.off_policy import measure_off_policy
from evaluation.report.sections.popularity import (
    MethodPopularity,
    PopularitySection,
    PopularityView,
    measure_popularity,
    method_popularity,
    readers_of,
)
from evaluation.report.sections.training import measure_training
from evaluation.report.sections.verdict import choose_challenger, measure_verdict, results_of
from models.histories import Scorer
from storage.artifacts.manifest import Manifest
from storage.dataset.reader import TransitionDataset

Optional = Literal["embedding_map", "off_policy", "actions", "distances"]
UNKNOWN = Cost()
OPEN_LISTS = 3  # policies whose examples are not folded
SHOWN = ("test", "next-item")  # whose lists are shown in examples and on the map
VIEWED = (SHOWN, ("time", "next-item"), ("time", "fold-in"))  # of popularity bias; the last have the most cold items


class EvaluateParams(BaseModel):
    """How policies are judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: int = Field(10, ge=1, le=100, description="Length of the lists shown and counted in bias and examples.")
    steps_per_user: int = Field(20, ge=1, le=1000, description="At most so many last events of a user are predicted.")
    max_steps: int = Field(50_000, ge=10, description="At most so many predicted events per split, drawn at random.")
    sample: int = Field(500, ge=50, le=10_000, description="Actions per set in distances and reconstruction errors.")
    distance_cases: int = Field(200, ge=10, le=10_000, description="Steps ranked by each of the eight distances.")
    map_points: int = Field(800, ge=10, le=MOST_POINTS, description="At most so many items on the map.")
    map_projection: Way = Field("tsne", description="How items are laid into the plane; pca is instant.")
    examples: int = Field(6, ge=0, le=50, description="Test users whose recommendations are shown.")
    leave_out: tuple[Optional, ...] = Field((), description="Sections that are not measured.")
    seed: int = Field(0, ge=0, description="Of every draw.")
    baselines: BaselineParams = Field(BaselineParams(), description="What policies are held against, and its tuning.")
    off_policy: OffPolicyParams = Field(OffPolicyParams(), description="What off-policy estimates look at.")


@dataclass(frozen=True)
class Contestant:
    """One method that is judged.

    Attributes:
        name: unique among all.
        kind: what it is there for.
        scorer: ranks items.
        acting: the same, where it answers with a point among the item embeddings.
        cost: what is known of its making.
    """

    name: str
    kind: Kind
    scorer: Scorer
    acting: Acting | None = None
    cost: Cost = UNKNOWN


@dataclass(frozen=True)
class Subject:
    """What the report is about besides methods; I items.

    Attributes:
        title: of the page.
        titles: (I,), with years.
        groups: (I,) each item's main genre, or what is like one; "" where unknown.
        truth: (U, I) true mean rewards, where they are known.
        dataset: its manifest.
        policies: by name the manifests of policies and champion.
        curves: by policy what it logged while training: columns step, split, metric, value.
        tuning: rows of `evaluation.baselines.tuning_table`.
        provenance: what all of this was made from.
        cautions: what a reader must know besides what numbers say.
    """

    title: str
    titles: Sequence[str]
    groups: Sequence[str]
    truth: NDArray[np.float32] | None
    dataset: Manifest
    policies: Mapping[str, Manifest]
    curves: Mapping[str, pd.DataFrame]
    tuning: Sequence[Mapping[str, Any]]
    provenance: cards.Provenance
    cautions: Sequence[str] = ()


def judge_and_measure(
    data: TransitionDataset,
    contestants: Sequence[Contestant],
    subject: Subject,
    params: EvaluateParams,
    keep: Callable[[pa.Table], None],
    show: Callable[[str], None] = lambda _: None,
) -> Report:
    """Ask every method the same cases and measure all sections.

    Args:
        data: on the CPU.
        contestants: policies first, in the order of their colours.
        subject: what the report is about.
        params: how to judge.
        keep: called with every method's answers to each set of cases: rows of rankings.parquet.
        show: called with the name of each piece of work that is done.
    """
    facts = ItemFacts.of(data)
    judged, views, shown = judge(data, facts, contestants, params, keep, show)
    methods = measure_methods(judged, choose_challenger(judged), params.seed)
    kinds = {one.name: one.kind for one in contestants}
    baselines = [one.name for one in contestants if one.kind == "baseline"]
    scorers = {one.name: one.scorer for one in contestants}
    acting = {one.name: one.acting for one in contestants if one.acting is not None and one.kind != "baseline"}
    report = Report(
        title=subject.title,
        generated=subject.dataset.generated,
        verdict=measure_verdict(methods, [*subject.cautions, *warned(subject, methods.challenger)]),
        methods=methods,
        popularity=PopularitySection(views=tuple(views)),
        examples=shown_examples(data, subject, shown, methods, params),
        training=measure_training(
            subject.curves, {name: found.facts.get("warnings") for name, found in subject.policies.items()}
        ),
        cards=cards.CardsSection(
            dataset=cards.dataset_card(data, subject.dataset),
            models=tuple(cards.model_card(name, kinds[name], found) for name, found in subject.policies.items()),
            baselines=cards.tunings(subject.tuning, CRITERION),
            provenance=subject.provenance,
        ),
    )
    more: dict[Optional, Callable[[], Any]] = {
        "embedding_map": lambda: shown_map(data, facts, subject, shown, methods.challenger, params),
        "off_policy": lambda: measure_off_policy(
            data,
            scorers,
            params.off_policy,
            baselines=baselines,
            truth=subject.truth,
        ),
        "actions": lambda: measure_actions(data, acting, params.sample, params.seed),
        "distances": lambda: measure_distances(data, acting, scorers, params.distance_cases, params.seed, baselines),
    }
    found: dict[str, Any] = {}
    for name, measure in more.items():
        if name not in params.leave_out:
            found[name] = measure()
            show(name)
    return report.model_copy(update=found)


@dataclass(frozen=True)
class Shown:
    """What is shown of test users: their cases, T of them, and by method the first k of each list, (T, k); -1 is no item."""

    cases: Cases
    best: dict[str, NDArray[np.int64]]


def all_cases(data: TransitionDataset, params: EvaluateParams) -> list[Cases]:
    """What methods are asked, the cases that decide first; sets without a case are left out."""
    found = [
        *(
            next_item_cases(data, split, params.steps_per_user, params.max_steps, params.seed)
            for split in ("test", "time")
        ),
        *(fold_in_cases(data, split) for split in ("test", "time")),
        mult_vae_cases(data, "test", params.seed),
        next_item_cases(data, "validation", params.steps_per_user, params.max_steps, params.seed),
    ]
    return [cases for cases in found if len(cases)]


def judge(
    data: TransitionDataset,
    facts: ItemFacts,
    contestants: Sequence[Contestant],
    params: EvaluateParams,
    keep: Callable[[pa.Table], None],
    show: Callable[[str], None],
) -> tuple[list[Judged], list[PopularityView], Shown | None]:
    """Every method's metrics on every set of cases, its popularity bias in those that are viewed, and lists to show.

    No rankings are kept: of all that is sought after the time cut they would be millions for every method.
    """
    judged: list[Judged] = []
    views: list[PopularityView] = []
    shown: Shown | None = None
    for cases in all_cases(data, params):
        where = (cases.split, cases.protocol)
        readers = readers_of(data, facts, cases) if where in VIEWED else None
        biases: list[MethodPopularity] = []
        if where == SHOWN:
            shown = Shown(cases, {})
        for one in contestants:
            began = time.perf_counter()
            # Where order is drawn at random nothing is more recent than anything else.
            scorer = with_whole_histories(one.scorer) if cases.protocol == "mult-vae" else one.scorer
            ranked = rank_cases(data, scorer, cases)
            speed = len(cases) / max(time.perf_counter() - began, 1e-9)
            cost = one.cost.model_copy(update={"recommendations_per_second": speed})
            keep(rankings_table(data, cases, ranked, one.name))
            judged.append(
                judge_method(
                    facts,
                    ranked,
                    name=one.name,
                    split=cases.split,
                    protocol=cases.protocol,
                    kind=one.kind,
                    cost=cost,
                    seed=params.seed,
                )
            )
            if readers is not None:
                seen = method_popularity(
                    facts, readers, ranked, name=one.name, kind=one.kind, k=params.k, seed=params.seed
                )
                biases.append(seen)
            if shown is not None and where == SHOWN:
                shown.best[one.name] = ranked.best[:, : params.k].copy()
        if readers is not None:
            views.append(measure_popularity(data, facts, cases, readers, biases, params.k))
        show(f"{cases.split} {cases.protocol}")
    return judged, views, shown


def shown_examples(
    data: TransitionDataset, subject: Subject, shown: Shown | None, methods: MethodsSection, params: EvaluateParams
) -> ExamplesSection:
    """Examples of test users; the champion, the best policies and the two best baselines open, the others folded."""
    if shown is None:
        return measure_examples(data, subject.titles, np.empty((0, 2), np.int64), {}, (), 0, params.k, params.seed)
    results = sorted(results_of(methods, "test"), key=lambda one: -(one.metrics.get(CRITERION) or 0.0))
    champion = [one.name for one in results if one.kind == "champion"]
    first = [*champion, *(one.name for one in results if one.kind == "policy")][:OPEN_LISTS]
    best = [one.name for one in results if one.kind == "baseline"][:2]
    return measure_examples(
        data,
        subject.titles,
        shown.cases.known.cpu().numpy(),
        shown.best,
        (*first, *best),
        params.examples,
        params.k,
        params.seed,
    )


def shown_map(
    data: TransitionDataset,
    facts: ItemFacts,
    subject: Subject,
    shown: Shown | None,
    challenger: str | None,
    params: EvaluateParams,
) -> EmbeddingMapSection | None:
    """The map, with the challenger's lists for test users; None where there is nobody to recommend to."""
    if challenger is None or shown is None:
        return None
    return measure_embedding_map(
        challenger,
        shown.best[challenger],
        data.embedding.cpu().numpy(),
        facts.events,
        subject.titles,
        subject.groups,
        params.map_projection,
        params.map_points,
        params.seed,
    )


def warned(subject: Subject, challenger: str | None) -> list[str]:
    """What the data's and the policies' making warns of."""
    found = []
    if subject.dataset.generated:
        found.append(
            "The ratings are generated: the verdict shows that the pipeline works and says nothing of real people."
        )
    for name, manifest in subject.policies.items():
        if manifest.recipe.inputs.get("dataset") != subject.dataset.digest:
            found.append(f"{name} was trained on another dataset and may have learnt from these test users.")
    if challenger is not None and challenger in subject.policies:
        facts = subject.policies[challenger].facts
        if facts.get("diverged"):
            found.append(f"{challenger}'s training ran away; its best policy until then was kept.")
        if kinds := sorted({one["kind"] for one in facts.get("warnings", [])}):
            found.append(f"While {challenger} trained, early warnings came: {', '.join(kinds)} (see Training).")
    return found
