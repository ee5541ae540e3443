"""Tuning and fitting of the baselines that every report compares the policies with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from evaluation.protocols.cases import validation_cases
from evaluation.protocols.validation import CRITERION, validation_metrics
from models.baselines.entry import Grid
from models.baselines.recency import Recency
from models.baselines.registry import BASELINES
from models.baselines.training import TrainingData
from models.histories import Scorer
from storage.dataset.reader import TransitionDataset

Values = dict[str, int | float | None]


class BaselineParams(BaseModel):
    """Which baselines the policies are compared with, and the grid of each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, ...] = Field(
        tuple(name for name, entry in BASELINES.items() if entry.by_default),
        min_length=1,
        description="Baselines by name, in the report's order; "
        f"not by default: {', '.join(name for name, entry in BASELINES.items() if not entry.by_default)}.",
    )
    grids: dict[str, Grid] = Field(
        {name: entry.grid for name, entry in BASELINES.items()},
        description="By baseline and hyper-parameter: the values tried.",
    )
    max_items: int = Field(
        8000, ge=10, le=50_000, description="Item-to-item matrices hold this many of the most frequent items."
    )
    validation_steps: int = Field(2000, ge=10, description="Maximum number of next-item steps of validation users.")
    seed: int = Field(
        0, ge=0, description="Seed that samples the steps; a learner with the same seed is validated on the same steps."
    )

    @model_validator(mode="after")
    def _all_candidates_are_valid(self) -> "BaselineParams":
        if unknown := {*self.names, *self.grids} - set(BASELINES):
            raise ValueError(
                f"baselines: expected names among {list(BASELINES)}; found {sorted(unknown)}. Name some of these."
            )
        for name in self.names:
            fits, recencies = self.candidates(name)
            if not fits or not recencies:
                raise ValueError(
                    f"grids.{name}: expected a value or more of each hyper-parameter; found none. Add one."
                )
            for fit, recency in product(fits, recencies):
                BASELINES[name].config(**fit, **recency)
        return self

    def candidates(self, name: str) -> tuple[list[Values], list[Values]]:
        """All combinations of a baseline's grid: of the hyper-parameters that its fit depends on, and of recency."""
        grid = self.grids.get(name, {})
        fits = [axis for axis in grid if axis not in Recency.model_fields]
        recencies = [axis for axis in grid if axis in Recency.model_fields]
        first, second = (
            [dict(zip(axes, values, strict=True)) for values in product(*(grid[axis] for axis in axes))]
            for axes in (fits, recencies)
        )
        return first, second


def training_data(data: TransitionDataset, max_items: int) -> TrainingData:
    """The events that baselines are fit on: those of training users up to the time cut."""
    return TrainingData(*data.training_events(), data.embedding, max_items)


def tune_baselines(
    data: TransitionDataset, params: BaselineParams, show: Callable[[str], None] = lambda _: None
) -> dict[str, list[dict[str, Any]]]:
    """Choose every baseline's hyper-parameters by NDCG@10 on the same steps of validation users.

    Recency is tuned first, at the first combination of the other hyper-parameters, which is fit once; then the other
    combinations are tuned at the chosen recency. A grid of f fits and r recencies costs f fits and f + r - 1 rankings of at
    most `params.validation_steps` steps.

    Returns:
        by baseline the candidates, best first, the earlier of equals: their `config` and their `validation` metrics.
    """
    cases = validation_cases(data, params.validation_steps, params.seed)
    training = training_data(data, params.max_items)
    tuned = {}
    for name in params.names:
        baseline = BASELINES[name]
        fits, recencies = params.candidates(name)
        tried: list[dict[str, Any]] = []

        def evaluate(config: BaseModel, scorer: Scorer, tried: list[dict[str, Any]] = tried) -> None:
            metrics = validation_metrics(data, scorer, cases)
            tried.append({"config": config.model_dump(mode="json"), "validation": metrics})

        scorer = baseline.fit(baseline.config(**fits[0]), training)
        for recency in recencies:
            config = baseline.config(**fits[0], **recency)
            evaluate(config, replace(scorer, recency=config) if recency else scorer)  # type: ignore[type-var]
        del scorer
        found = recencies[max(range(len(recencies)), key=lambda place: tried[place]["validation"][CRITERION])]
        for fit in fits[1:]:
            config = baseline.config(**fit, **found)
            evaluate(config, baseline.fit(config, training))
        tuned[name] = sorted(tried, key=lambda one: -one["validation"][CRITERION])
        show(name)
    return tuned


def fit_baselines(
    data: TransitionDataset, chosen: Mapping[str, Mapping[str, Any]], max_items: int
) -> dict[str, Scorer]:
    """Fit baselines with the hyper-parameters chosen for each; by name."""
    training = training_data(data, max_items)
    return {
        name: BASELINES[name].fit(BASELINES[name].config.model_validate(config), training)
        for name, config in chosen.items()
    }


def with_whole_histories(scorer: Scorer) -> Scorer:
    """A baseline with all of a history weighted equally, as in the papers; other scorers are returned unchanged."""
    if not isinstance(getattr(scorer, "recency", None), Recency):
        return scorer
    whole: Scorer = replace(scorer, recency=Recency(last=None))  # type: ignore[type-var]
    return whole


def tuning_table(tuned: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """One row per baseline: the choice, its validation metrics, the number of candidates, and the worst score."""
    return [
        {
            "name": name,
            "config": tried[0]["config"],
            "validation": tried[0]["validation"],
            "tried": len(tried),
            "worst": tried[-1]["validation"][CRITERION],
        }
        for name, tried in tuned.items()
    ]
