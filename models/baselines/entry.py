"""What the registry holds of a baseline."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from models.baselines.training import TrainingData
from models.histories import Scorer

Grid = dict[str, tuple[int | float | None, ...]]


@dataclass(frozen=True)
class BaselineEntry:
    """A baseline as its parameters, its tuning and the report see it.

    Attributes:
        name: in parameters and reports.
        config: its hyper-parameters.
        fit: makes the scorer of hyper-parameters and training events.
        summary: how it works, in one sentence.
        paper: where it is from; empty if it needs no source.
        grid: by hyper-parameter, the values that are tried on validation users.
        by_default: whether reports compare with it unless told otherwise; false for one that takes long to tune.
    """

    name: str
    config: type[BaseModel]
    fit: Callable[[Any, TrainingData], Scorer]
    summary: str
    paper: str = ""
    grid: Grid = field(default_factory=dict)
    by_default: bool = True
