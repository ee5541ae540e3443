"""The baselines every report has beside the policies: which there are, and how they are tuned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from evaluation.protocols.cases import validation_cases
from evaluation.protocols.validation import CRITERION, validation_metrics
from models.baselines.als import AlsConfig, fit_als
from models.baselines.ease import EaseConfig, fit_ease
from models.baselines.item_knn import ItemKnnConfig, fit_item_knn
from models.baselines.markov import MarkovConfig, fit_markov
from models.baselines.popularity import PopularityConfig, RecentPopularityConfig, fit_popularity
from models.baselines.recency import Recency
from models.baselines.similarity import CollaborativeConfig, ContentConfig, fit_collaborative, fit_content
from models.baselines.training import TrainingData
from models.histories import Scorer
from storage.dataset.reader import TransitionDataset

Grid = dict[str, tuple[int | float | None, ...]]
Values = dict[str, int | float | None]


@dataclass(frozen=True)
class Baseline:
    """A kind of hyper-parameters and the fit that takes them."""

    config: type[BaseModel]
    fit: Callable[[Any, TrainingData], Scorer]


BASELINES: Mapping[str, Baseline] = {
    "popularity": Baseline(PopularityConfig, fit_popularity),
    "recent popularity": Baseline(RecentPopularityConfig, fit_popularity),
    "content similarity": Baseline(ContentConfig, fit_content),
    "collaborative similarity": Baseline(CollaborativeConfig, fit_collaborative),
    "markov": Baseline(MarkovConfig, fit_markov),
    "item-knn": Baseline(ItemKnnConfig, fit_item_knn),
    "als": Baseline(AlsConfig, fit_als),
    "ease": Baseline(EaseConfig, fit_ease),
}
# How much of a history counts is the first thing tuned, at the first values of all else; so these are the usual ones.
RECENCY: Grid = {"last": (10, 5, 20, 50, None), "decay": (1.0, 0.9, 0.7, 0.5)}
GRIDS: Mapping[str, Grid] = {
    "popularity": {},
    "recent popularity": {},  # nothing to choose by: validation users' steps lie before the time cut
    "content similarity": RECENCY,
    "collaborative similarity": {"factors": (128, 64, 256, 512)} | RECENCY,
    "markov": {"window": (10, 5, 20), "fade": (0.8, 0.6, 1.0), "shrink": (100.0, 30.0, 300.0)} | RECENCY,
    "item-knn": {"neighbours": (100, 20, 1000), "shrink": (0.0, 10.0)} | RECENCY,
    "als": {"factors": (64, 128), "regularisation": (10.0, 3.0), "confidence": (10.0, 3.0)} | RECENCY,
    "ease": {"regularisation": (200.0, 100.0, 50.0, 500.0)} | RECENCY,
}


class BaselineParams(BaseModel):
    """Which baselines policies are held against, and what each is tuned over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, ...] = Field(
        tuple(BASELINES), min_length=1, description="Of the registry, in the report's order."
    )
    grids: dict[str, Grid] = Field(dict(GRIDS), description="By baseline and hyper-parameter: the values tried.")
    max_items: int = Field(
        8000, ge=10, le=50_000, description="Item-to-item matrices hold the most frequent so many items."
    )
    validation_steps: int = Field(2000, ge=10, description="At most so many next-item steps of validation users.")
    seed: int = Field(0, ge=0, description="Of the steps' draw; a learner's seed gives it the same steps.")

    @model_validator(mode="after")
    def _all_candidates_are_valid(self) -> "BaselineParams":
        if unknown := {*self.names, *self.grids} - set(BASELINES):
            raise ValueError(f"baselines: expected names among {list(BASELINES)}; found {sorted(unknown)}.")
        for name in self.names:
            fits, recencies = self.candidates(name)
            if not fits or not recencies:
                raise ValueError(f"grids.{name}: expected a value or more of each hyper-parameter; found none.")
            for fit, recency in product(fits, recencies):
                BASELINES[name].config(**fit, **recency)
        return self

    def candidates(self, name: str) -> tuple[list[Values], list[Values]]:
        """All value sets of a baseline's grid: of what its fit depends on, and of recency."""
        grid = self.grids.get(name, {})
        fits = [axis for axis in grid if axis not in Recency.model_fields]
        recencies = [axis for axis in grid if axis in Recency.model_fields]
        first, second = (
            [dict(zip(axes, values, strict=True)) for values in product(*(grid[axis] for axis in axes))]
            for axes in (fits, recencies)
        )
        return first, second


def training_data(data: TransitionDataset, max_items: int) -> TrainingData:
    """What baselines may learn from: training users' events up to the time cut."""
    return TrainingData(*data.training_events(), data.embedding, max_items)


def tune_baselines(
    data: TransitionDataset, params: BaselineParams, show: Callable[[str], None] = lambda _: None
) -> dict[str, list[dict[str, Any]]]:
    """Choose every baseline's hyper-parameters by NDCG@10 on the same steps of validation users.

    First recency, all values of it at the first fit, which is made once; then the other fits, with the recency found.
    So a grid of f fits and r recencies costs f fits and f + r - 1 rankings of at most `params.validation_steps` steps.

    Returns:
        By baseline the candidates judged, best first, the earlier of equals: their `config`, and as `validation` metrics.
    """
    cases = validation_cases(data, params.validation_steps, params.seed)
    training = training_data(data, params.max_items)
    tuned = {}
    for name in params.names:
        baseline = BASELINES[name]
        fits, recencies = params.candidates(name)
        tried: list[dict[str, Any]] = []

        def judge(config: BaseModel, scorer: Scorer, tried: list[dict[str, Any]] = tried) -> None:
            metrics = validation_metrics(data, scorer, cases)
            tried.append({"config": config.model_dump(mode="json"), "validation": metrics})

        scorer = baseline.fit(baseline.config(**fits[0]), training)
        for recency in recencies:
            config = baseline.config(**fits[0], **recency)
            judge(config, replace(scorer, recency=config) if recency else scorer)  # type: ignore[type-var]
        del scorer
        found = recencies[max(range(len(recencies)), key=lambda place: tried[place]["validation"][CRITERION])]
        for fit in fits[1:]:
            config = baseline.config(**fit, **found)
            judge(config, baseline.fit(config, training))
        tuned[name] = sorted(tried, key=lambda one: -one["validation"][CRITERION])
        show(name)
    return tuned


def fit_baselines(
    data: TransitionDataset, chosen: Mapping[str, Mapping[str, Any]], max_items: int
) -> dict[str, Scorer]:
    """Baselines by name, fit with the hyper-parameters chosen for each."""
    training = training_data(data, max_items)
    return {
        name: BASELINES[name].fit(BASELINES[name].config.model_validate(config), training)
        for name, config in chosen.items()
    }


def with_whole_histories(scorer: Scorer) -> Scorer:
    """A baseline that weighs all of a history alike, as in the papers; policies and what knows no recency stay as they are."""
    if not isinstance(getattr(scorer, "recency", None), Recency):
        return scorer
    whole: Scorer = replace(scorer, recency=Recency(last=None))  # type: ignore[type-var]
    return whole


def tuning_table(tuned: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """A row per baseline: what was chosen, how it scored on the validation users, how many were tried, and the worst."""
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
