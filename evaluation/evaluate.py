"""Evaluate methods on a dataset: every method ranks the same cases, and every section of the report is measured from that."""

import time
from collections.abc import Callable, Sequence
from typing import Annotated

import pyarrow as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from evaluation.baselines import BaselineParams, with_whole_histories
from evaluation.off_policy.estimates import OffPolicyParams
from evaluation.protocols.beyond_accuracy import ItemFacts
from evaluation.protocols.cases import Cases, fold_in_cases, mult_vae_cases, next_item_cases
from evaluation.protocols.ranking import Ranked, rank_cases, rankings_table
from evaluation.record import Record
from evaluation.report.evidence import ComparedMethod, Evidence, ShownLists, Subject
from evaluation.report.projection import Way
from evaluation.report.registry import OPTIONAL, SECTIONS
from evaluation.report.report import Report
from evaluation.report.sections.environment.numbers import EnvironmentParams
from evaluation.report.sections.methods.numbers import (
    Cost,
    EvaluatedMethod,
    choose_challenger,
    evaluate_method,
    measure_methods,
)
from evaluation.report.sections.popularity.numbers import (
    PopularityView,
    audience_of,
    measure_popularity,
    method_popularity,
)
from evaluation.serve_for_cases import serve_for_of
from models.serve_for import serving
from storage.dataset.format import Split
from storage.dataset.reader import TransitionDataset

SHOWN = ("test", "next-item")  # whose lists examples and the map show
BIAS_MEASURED = (SHOWN, ("time", "next-item"), ("time", "fold-in"))  # the last have the most cold items


def _optional(name: str) -> str:
    """Refuse a name that is not an optional section's."""
    if name not in OPTIONAL:
        raise ValueError(f"leave_out: expected names among {list(OPTIONAL)}; found {name!r}. Name an optional section.")
    return name


class EvaluateParams(BaseModel):
    """How policies are evaluated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: int = Field(10, ge=1, le=100, description="Length of the lists in popularity bias and examples.")
    steps_per_user: int = Field(
        20, ge=1, le=1000, description="Number of a user's last events that are targets, at most."
    )
    max_steps: int = Field(50_000, ge=10, description="Number of targets per split, at most; drawn at random.")
    sample: int = Field(500, ge=50, le=10_000, description="Actions per set in distances and reconstruction errors.")
    distance_cases: int = Field(200, ge=10, le=10_000, description="Steps ranked by each of the eight distances.")
    map_points: int = Field(800, ge=10, le=2_000, description="Number of items on the map, at most.")
    map_projection: Way = Field("tsne", description="Projection of the items to the plane; pca is fast.")
    examples: int = Field(6, ge=0, le=50, description="Number of test users whose recommendations are shown.")
    leave_out: tuple[
        Annotated[str, AfterValidator(_optional), Field(json_schema_extra={"enum": list(OPTIONAL)})], ...
    ] = Field((), description="Optional sections that are not measured.")
    seed: int = Field(0, ge=0, description="Seed of all random draws.")
    baselines: BaselineParams = Field(BaselineParams(), description="The baselines and their tuning.")
    off_policy: OffPolicyParams = Field(OffPolicyParams(), description="The off-policy estimates.")
    environment: EnvironmentParams = Field(EnvironmentParams(), description="The returns with simulated users.")


def evaluate_and_measure(
    data: TransitionDataset,
    compared_methods: Sequence[ComparedMethod],
    subject: Subject,
    params: EvaluateParams,
    keep: Callable[[pa.Table], None],
    show: Callable[[str], None] = lambda _: None,
) -> Report:
    """Rank the same cases with every method and measure all sections.

    Args:
        data: on the CPU.
        compared_methods: policies first, in the order of their colours.
        subject: what the report is about.
        params: how to evaluate.
        keep: called with every method's rankings of each set of cases: rows of rankings.parquet.
        show: called with the name of each set of cases and each optional section that is done.
    """
    facts = ItemFacts.of(data)
    evaluated, views, shown = evaluate_methods(data, facts, compared_methods, params, keep, show)
    methods = measure_methods(evaluated, choose_challenger(evaluated), params.seed, data.head.mode)
    numbers: dict[str, Record | None] = {}
    evidence = Evidence(data, facts, compared_methods, subject, params, methods, views, shown, numbers)
    for section in sorted(SECTIONS, key=lambda one: one.sums_up):
        if section.name not in params.leave_out:
            numbers[section.name] = section.measure(evidence)
            if section.optional:
                show(section.name)
    return Report(title=subject.title, generated=subject.dataset.generated, **numbers)


def all_cases(data: TransitionDataset, params: EvaluateParams) -> list[Cases]:
    """The sets of cases that methods rank, without empty ones; with leave-one-out only the next item."""

    def next_items(split: Split) -> Cases:
        return next_item_cases(data, split, params.steps_per_user, params.max_steps, params.seed)

    found = [next_items("test"), next_items("time")]
    if not data.head.leave_one_out:
        found += [fold_in_cases(data, "test"), fold_in_cases(data, "time"), mult_vae_cases(data, "test", params.seed)]
    found.append(next_items("validation"))
    return [cases for cases in found if len(cases)]


def evaluate_methods(
    data: TransitionDataset,
    facts: ItemFacts,
    compared_methods: Sequence[ComparedMethod],
    params: EvaluateParams,
    keep: Callable[[pa.Table], None],
    show: Callable[[str], None],
) -> tuple[list[EvaluatedMethod], list[PopularityView], ShownLists | None]:
    """The metrics of every method on every set of cases, popularity bias on those of BIAS_MEASURED, and the lists to show.

    Rankings are used as they come and not kept: with all targets after the time cut they would be millions for every method.
    """
    evaluated: list[EvaluatedMethod] = []
    views: list[PopularityView] = []
    shown: ShownLists | None = None
    for cases in all_cases(data, params):
        where = (cases.split, cases.protocol)
        audience = audience_of(data, facts, cases) if where in BIAS_MEASURED else None
        biases = []
        if where == SHOWN:
            shown = ShownLists(cases, {})
        for one in compared_methods:
            ranked, speed = timed_ranking(data, one, cases)
            keep(rankings_table(data, cases, ranked, one.name))
            cost = (one.cost or Cost()).model_copy(update={"recommendations_per_second": speed})
            evaluated.append(evaluate_method(facts, ranked, cases, one.name, one.kind, cost, params.seed))
            if audience is not None:
                bias = method_popularity(facts, audience, ranked, one.name, one.kind, params.k, params.seed)
                biases.append(bias)
            if shown is not None and where == SHOWN:
                shown.best[one.name] = ranked.best[:, : params.k].copy()
        if audience is not None:
            views.append(measure_popularity(data, facts, cases, audience, biases, params.k))
        show(f"{cases.split} {cases.protocol}")
    return evaluated, views, shown


def timed_ranking(data: TransitionDataset, one: ComparedMethod, cases: Cases) -> tuple[Ranked, float]:
    """One method's rankings of the cases, and how many per second."""
    began = time.perf_counter()
    # The Mult-VAE protocol draws what is known at random, so that no known item is more recent than another.
    scorer = with_whole_histories(one.scorer) if cases.protocol == "mult-vae" else one.scorer
    scorer = serving(scorer, serve_for_of(cases))
    ranked = rank_cases(data, scorer, cases)
    return ranked, len(cases) / max(time.perf_counter() - began, 1e-9)
