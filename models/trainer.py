"""The training loop: draw, gather, update; validate, log, checkpoint; stop when the numbers run away."""

import math
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.batch import Batch
from models.errors import LearnerError
from models.learners import Learner
from models.sampling import UniformSampler

Row = tuple[int, str, str, float]  # step, split, metric, value


class TrainerConfig(BaseModel):
    """Length and rhythm of training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(2000, ge=1, le=100_000_000, description="Updates of the critic.")
    batch_size: int = Field(256, ge=2, le=65_536, description="Transitions in one update.")
    log_every: int = Field(50, ge=1, description="Updates between rows of the metrics table.")
    validate_every: int = Field(250, ge=1, description="Updates between looks at the validation users.")
    checkpoint_every: int = Field(500, ge=1, description="Updates between checkpoints.")
    max_value: float = Field(1e4, gt=0, description="A mean |Q| beyond this is divergence and stops the run.")


class Trainer:
    """Runs one learner; an interrupted and resumed run ends, on the CPU, in the same bits as an uninterrupted one."""

    def __init__(
        self,
        learner: Learner,
        sampler: UniformSampler,
        gather: Callable[[Tensor], Batch],
        validate: Callable[[Learner], dict[str, float]],
        config: TrainerConfig,
        select_by: str = "ndcg@10",
    ) -> None:
        self.learner = learner
        self.sampler = sampler
        self.gather = gather
        self.validate = validate
        self.config = config
        self.select_by = select_by
        self.step = 0
        self.rows: list[Row] = []
        self.best_score = -math.inf
        self.best_step = 0
        self.best_actor: dict[str, Tensor] = {}

    def run(self, on_log: Callable[[int], None], on_checkpoint: Callable[[int, dict[str, Any]], object]) -> list[Row]:
        """Train until `config.steps`; returns the metrics table.

        Args:
            on_log: told the step at every logged row.
            on_checkpoint: given the step and `state_dict()`.

        Raises:
            LearnerError: a metric is not finite, or values exceed `config.max_value`.
        """
        while self.step < self.config.steps:
            metrics = self.learner.update(self.gather(self.sampler.next()))
            self.step += 1
            last = self.step == self.config.steps
            if self.step % self.config.log_every == 0 or last:
                self._record("train", {name: float(value) for name, value in metrics.items()})
                on_log(self.step)
            if self.step % self.config.validate_every == 0 or last:
                self._validate()
            if self.step % self.config.checkpoint_every == 0 and not last:
                on_checkpoint(self.step, self.state_dict())
        return self.rows

    def _record(self, split: str, metrics: dict[str, float]) -> None:
        for name, value in sorted(metrics.items()):
            too_large = name.startswith("value") and abs(value) > self.config.max_value
            if not math.isfinite(value) or too_large:
                raise LearnerError(
                    f"step {self.step}: expected {name} to stay finite and |Q| below {self.config.max_value:g}; found "
                    f"{value:g}. Lower the learning rates or strengthen the imitation term."
                )
            self.rows.append((self.step, split, name, value))

    def _validate(self) -> None:
        metrics = self.validate(self.learner)
        self._record("validation", metrics)
        if metrics[self.select_by] > self.best_score:
            self.best_score, self.best_step = metrics[self.select_by], self.step
            self.best_actor = {name: value.detach().clone() for name, value in self.learner.policy.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """All of the run, as tensors and plain values."""
        return {
            "step": self.step,
            "rows": [list(row) for row in self.rows],
            "best_score": self.best_score,
            "best_step": self.best_step,
            "best_actor": self.best_actor,
            "learner": self.learner.state_dict(),
            "sampler": self.sampler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.step = state["step"]
        self.rows = [(step, split, metric, value) for step, split, metric, value in state["rows"]]
        self.best_score, self.best_step = state["best_score"], state["best_step"]
        self.best_actor = state["best_actor"]
        self.learner.load_state_dict(state["learner"])
        self.sampler.load_state_dict(state["sampler"])
