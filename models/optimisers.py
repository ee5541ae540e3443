"""Optimisers and learning-rate schedules by name."""

from collections.abc import Iterable
from typing import Any, Literal, get_args

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, CyclicLR, LRScheduler

from models.errors import LearnerError
from models.ranks import average_gradients

OptimiserName = Literal["adam", "adamw", "radam", "sgd", "rmsprop"]
ScheduleName = Literal["constant", "warm_restarts", "cyclic"]


class OptimiserConfig(BaseModel):
    """Optimiser, schedule and clipping; learning rates are parameters of the learners."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: OptimiserName = Field(
        "adam",
        description="adam [Kingma & Ba 2015], adamw [Loshchilov & Hutter 2019], radam [Liu et al. 2020], sgd, rmsprop.",
    )
    schedule: ScheduleName = Field(
        "constant",
        description="warm_restarts: cosine decay from the learning rate to 0, repeated [SGDR, Loshchilov & Hutter 2017]; "
        "cyclic: between a quarter of the learning rate and the learning rate [Smith 2017].",
    )
    period: int = Field(1000, ge=2, le=10_000_000, description="Steps until the first restart, or of one whole cycle.")
    period_growth: int = Field(
        2, ge=1, le=10, description="Factor between the periods of successive restarts [SGDR, §4]."
    )
    weight_decay: float = Field(
        0.0, ge=0, le=1, description="Added to the gradient as L2; decoupled from it in adamw. The article: 0.01."
    )
    momentum: float = Field(
        0.9, ge=0, lt=1, description="Momentum of sgd (Nesterov's) and of rmsprop; the others have their own."
    )
    max_gradient_norm: float = Field(
        10.0, gt=0, le=1e12, description="Gradients with a larger norm are scaled down to it."
    )

    def of_kind(self, name: str) -> "OptimiserConfig":
        """A copy with another optimiser.

        Raises:
            LearnerError: there is no such optimiser.
        """
        if name not in get_args(OptimiserName):
            raise LearnerError(
                f"optimiser: expected one of {', '.join(get_args(OptimiserName))}; found {name!r}. Name one of these."
            )
        return self.model_copy(update={"name": name})


class Optimiser:
    """Optimiser with gradient clipping and a schedule; resumes exactly from `state_dict()`."""

    def __init__(self, config: OptimiserConfig, parameters: Iterable[Parameter], learning_rate: float) -> None:
        self.config, self.parameters, self.learning_rate = config, list(parameters), learning_rate
        self.inner = _optimiser(config, self.parameters, learning_rate)
        self.schedule = _schedule(config, self.inner, learning_rate)

    def of_kind(self, name: str) -> "Optimiser":
        """A new optimiser of another kind, with the same parameters and learning rate.

        Raises:
            LearnerError: there is no such optimiser.
        """
        return Optimiser(self.config.of_kind(name), self.parameters, self.learning_rate)

    def zero_grad(self) -> None:
        """Set the gradients to zero."""
        self.inner.zero_grad()

    def step(self) -> Tensor:
        """Clip the gradient, take a step, advance the schedule; returns the gradient's norm before clipping, 0-d."""
        average_gradients(self.parameters)
        norm = clip_grad_norm_(self.parameters, self.config.max_gradient_norm)
        self.inner.step()
        if self.schedule is not None:
            self.schedule.step()
        return norm

    def state_dict(self) -> dict[str, Any]:
        """Moments, step counts and the schedule's position."""
        return {
            "optimiser": self.inner.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.inner.load_state_dict(state["optimiser"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])


def _optimiser(config: OptimiserConfig, parameters: list[Parameter], rate: float) -> torch.optim.Optimizer:
    decay = config.weight_decay
    match config.name:
        case "adam":
            return torch.optim.Adam(parameters, rate, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, rate, weight_decay=decay, fused=True)
        case "radam":  # torch has no fused form of this one and of rmsprop
            return torch.optim.RAdam(parameters, rate, weight_decay=decay, foreach=True)
        case "sgd":
            nesterov = config.momentum > 0
            return torch.optim.SGD(parameters, rate, config.momentum, weight_decay=decay, nesterov=nesterov, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, rate, weight_decay=decay, momentum=config.momentum, foreach=True)


def _schedule(config: OptimiserConfig, optimiser: torch.optim.Optimizer, rate: float) -> LRScheduler | None:
    match config.schedule:
        case "constant":
            return None
        case "warm_restarts":
            return CosineAnnealingWarmRestarts(optimiser, config.period, config.period_growth)
        case "cyclic":
            half = config.period // 2
            return CyclicLR(optimiser, rate / 4, rate, half, config.period - half, cycle_momentum=False)
