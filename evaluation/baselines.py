"""The baselines every report has beside the policies: which there are, and how they are tuned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from evaluation.ranking import choose, judge_scorer
from models.baselines.als import AlsConfig, fit_als
from models.baselines.ease import EaseConfig, fit_ease
from models.baselines.item_knn import ItemKnnConfig, fit_item_knn
from models.baselines.markov import MarkovConfig, fit_markov
from models.baselines.popularity import PopularityConfig, fit_popularity
from models.baselines.recency import Recency
from models.baselines.similarity import CollaborativeConfig, ContentConfig, fit_collaborative, fit_content
from models.baselines.training import TrainingData
from models.histories import Scorer
from storage.errors import DatasetError
from storage.transitions import TransitionDataset

CRITERION = "ndcg@10"
Axis = tuple[int | float | None, ...]
Grid = dict[str, Axis]


@dataclass(frozen=True)
class Baseline:
    """A kind of hyper-parameters and the fit that takes them."""

    config: type[BaseModel]
    fit: Callable[[Any, TrainingData], Scorer]


BASELINES: Mapping[str, Baseline] = {
    "popularity": Baseline(PopularityConfig, fit_popularity),
    "recent popularity": Baseline(PopularityConfig, fit_popularity),
    "content similarity": Baseline(ContentConfig, fit_content),
    "collaborative similarity": Baseline(CollaborativeConfig, fit_collaborative),
    "markov": Baseline(MarkovConfig, fit_markov),
    "item-knn": Baseline(ItemKnnConfig, fit_item_knn),
    "als": Baseline(AlsConfig, fit_als),
    "ease": Baseline(EaseConfig, fit_ease),
}
LAST: Axis = (5, 10, 20, 50, None)
GRIDS: Mapping[str, Grid] = {  # of equal candidates the earlier is chosen: what is usual comes first
    "popularity": {},
    "recent popularity": {"share": (0.1,)},
    "content similarity": {"last": LAST, "decay": (1.0, 0.9, 0.8)},
    "collaborative similarity": {"factors": (64, 128), "last": LAST, "decay": (1.0, 0.9)},
    "markov": {"window": (5, 10), "shrink": (0.0, 10.0), "last": LAST, "decay": (0.9, 0.8)},
    "item-knn": {"neighbours": (20, 100), "shrink": (0.0, 10.0), "last": LAST, "decay": (1.0, 0.9)},
    "als": {"factors": (64, 128), "regularisation": (10.0,), "confidence": (10.0,), "last": LAST},
    "ease": {"regularisation": (100.0, 200.0, 500.0), "last": LAST, "decay": (1.0, 0.9)},
}


class BaselineParams(BaseModel):
    """Which baselines policies are held against, and what each is tuned over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, ...] = Field(tuple(BASELINES), min_length=1, description="Of the registry, in the report's order.")
    grids: dict[str, Grid] = Field(
        dict(GRIDS), description="By baseline and hyper-parameter: the values tried, all with all."
    )
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
            self.candidates(name)
        return self

    def candidates(self, name: str) -> list[BaseModel]:
        """All hyper-parameter sets of a baseline's grid; those that differ in recency alone stand side by side."""
        kind, grid = BASELINES[name].config, self.grids.get(name, {})
        axes = sorted(grid, key=lambda axis: axis in Recency.model_fields)  # stable: fits are the outer loop
        return [kind(**dict(zip(axes, values, strict=True))) for values in product(*(grid[axis] for axis in axes))]


def training_data(data: TransitionDataset, max_items: int) -> TrainingData:
    """What baselines may learn from: training users' events up to the time cut."""
    return TrainingData(*data.training_events(), data.embedding, max_items)


def validation_steps(data: TransitionDataset, most: int, seed: int) -> Tensor:
    """The starts of the steps that choose hyper-parameters and checkpoints: of each validation user's last 20.

    Raises:
        DatasetError: there are none.
    """
    steps = choose(data.last_starts("validation", 20), most, seed)
    if len(steps) == 0:
        raise DatasetError(
            "validation: expected users with more than F events to choose hyper-parameters by; found none. "
            "Raise export.splits.validation or give more ratings."
        )
    return steps


def tune_baselines(
    data: TransitionDataset, params: BaselineParams, show: Callable[[str], None] = lambda _: None
) -> dict[str, list[dict[str, Any]]]:
    """Judge every candidate of every baseline by NDCG@10 on the validation users; each fit is made once.

    Returns:
        By baseline its candidates, best first: `config` and their metrics as `validation`.
    """
    steps = validation_steps(data, params.validation_steps, params.seed)
    training = training_data(data, params.max_items)
    tuned = {}
    for name in params.names:
        tried: list[dict[str, Any]] = []
        fitted: tuple[dict[str, Any], Scorer] | None = None
        for config in params.candidates(name):
            part = {field: value for field, value in config if field not in Recency.model_fields}
            if fitted is None or fitted[0] != part:
                fitted = None  # so that two fits are never held at once
                fitted = part, BASELINES[name].fit(config, training)
            scorer = fitted[1]
            if isinstance(config, Recency):
                scorer = replace(scorer, recency=config)  # type: ignore[type-var]
            metrics = judge_scorer(data, scorer, steps, k=10).metrics
            tried.append({"config": config.model_dump(mode="json"), "validation": metrics})
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
