"""The training loop: sample, gather, update; validate, log, checkpoint; next optimiser when the criterion stops improving."""

import logging
import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from models.early_warnings import EarlyWarning, Limits, Row, early_warnings
from models.errors import DivergenceError, LearnerError
from models.learners.entry import Learner
from models.ranks import from_first, shared_update
from models.sampling import UniformSampler
from models.trainer_config import CRITERIA, TrainerConfig

logger = logging.getLogger("marquee.train")
VALUES = ("value_logged", "value_policy", "value_target")
FORMAT = "marquee-training/3"
# The attributes that a checkpoint holds as they are.
KEPT = (
    "step", "stage", "stage_starts", "validations_since_best", "best_score", "best_step", "best_policy", "best_learner",
)  # fmt: skip


class Trainer:
    """Trains one learner. On the CPU an interrupted and resumed run ends in the same bits as an uninterrupted one."""

    def __init__(
        self,
        learner: Learner,
        sampler: UniformSampler,
        gather: Callable[[Tensor], Any],
        validate: Callable[[], dict[str, float]],
        config: TrainerConfig,
        returns: tuple[float, float] = (-math.inf, math.inf),
        made_with: dict[str, str] | None = None,
    ) -> None:
        """Make a run at update 0.

        Args:
            learner: the one to train.
            sampler: draws the starts of a batch.
            gather: makes a batch of starts.
            validate: computes the learner's present metrics on the validation users.
            config: length, intervals, stages.
            returns: least and greatest return of an episode; a value outside gives a warning.
            made_with: what a checkpoint must agree on to be resumed (dataset, learner), by name.
        """
        self.learner = learner
        self.sampler = sampler
        self.gather = gather
        self.validate = validate
        self.config = config
        self.metric, self.sign = CRITERIA[config.select_by]
        self.limits = Limits(*returns, self.metric, self.sign)
        self.made_with = {"format": FORMAT, **(made_with or {}), "policy": sizes(learner.acting.state_dict())}
        self.step = 0
        self.rows: list[Row] = []
        self.warnings: list[EarlyWarning] = []
        self.window: dict[str, tuple[Tensor, int]] = {}  # sum and count of each training metric since its last row
        self.stage = 0
        self.stage_starts = [0]
        self.validations_since_best = 0
        self.stopped = False
        self.best_score = -math.inf  # sign * criterion
        self.best_step = 0
        self.best_policy: dict[str, Tensor] = {}
        self.best_learner: dict[str, Any] = {}  # only if another stage may start from it

    @property
    def ended(self) -> bool:
        """Whether training is finished."""
        return self.stopped or self.step >= self.config.steps

    def best(self, metric: str) -> float:
        """A validation metric of the best policy."""
        row = (self.best_step, "validation", metric)
        return next(value for *name, value in self.rows if tuple(name) == row)

    def run(
        self, on_log: Callable[[int, Sequence[Row]], None], on_checkpoint: Callable[[int, dict[str, Any]], object]
    ) -> list[Row]:
        """Train until the last stage ends, or `config.steps`; returns the metrics table.

        Args:
            on_log: called with the step and the table's new rows.
            on_checkpoint: called with the step and `state_dict()`.

        Raises:
            DivergenceError: a metric or weight is not finite, or values exceed `config.max_value`; no checkpoint is
                written of such a state, and the newest one has the best policy so far.
            LearnerError: the learner refuses a batch, or does not report the selection criterion.
        """
        if self.step == 0 and self.config.stages:
            self.learner.restart(self.config.stages[0])
        if self.step == 0:
            self._validate()  # the initial policy may be the best
            on_log(0, self.rows)
        while not self.ended:
            batch = self.gather(self.sampler.next())
            with shared_update():
                self._add_to_window(self.learner.update(batch))
            self.step += 1
            last, before, better = self.step == self.config.steps, len(self.rows), False
            if self.step % self.config.log_every == 0 or last:
                self._record("train", self._means())
                self.window = {}
            if self.step % self.config.validate_every == 0 or last:
                better = self._validate()
            if len(self.rows) > before:
                on_log(self.step, self.rows[before:])
            if (self.step % self.config.checkpoint_every == 0 or better) and not self.ended:
                on_checkpoint(self.step, self._sound_state())
        return self.rows

    def _add_to_window(self, metrics: dict[str, Tensor]) -> None:
        for name, value in metrics.items():
            if name in self.window:
                total, count = self.window[name]
                self.window[name] = (total.add_(value), count + 1)
            else:
                self.window[name] = (value.clone(), 1)

    def _means(self) -> dict[str, float]:
        """The means since the last row; a NaN in the window shows in its mean, and the device is read once."""
        if not self.window:
            return {}
        means = torch.stack([(total / count).double() for total, count in self.window.values()]).tolist()
        return dict(zip(self.window, means, strict=True))

    def _record(self, split: str, metrics: dict[str, float]) -> None:
        self._need_bounded(split, metrics)
        self.rows += [(self.step, split, name, value) for name, value in sorted(metrics.items())]

    def _need_bounded(self, split: str, metrics: dict[str, float]) -> None:
        for name, value in sorted(metrics.items()):
            bound = self.config.max_value if name in VALUES else math.inf
            if not math.isfinite(value) or abs(value) > bound:
                raise self._divergence(f"{split} {name}", value, bound)

    def _divergence(self, metric: str, value: float, bound: float) -> DivergenceError:
        wanted = "finite" if math.isinf(bound) else f"below {bound:g} in magnitude"
        kept = f"The best policy so far, of update {self.best_step}, is kept." if self.best_policy else ""
        message = f"update {self.step}: expected {metric} to stay {wanted}; found {value:g}. {kept}".rstrip()
        return DivergenceError(message, self.step, metric, value, bound, self.best_step)

    def _validate(self) -> bool:
        """Validate; whether the learner is the best so far. Ends the stage if it has not improved for long enough."""
        self._need_finite({"policy": self.learner.acting.state_dict()})  # a ranking metric may hide it
        metrics = from_first(self.validate)
        self._record("validation", metrics)
        if self.metric not in metrics:
            raise LearnerError(
                f"select_by: expected one of {', '.join(sorted(metrics))}; found {self.metric}. Choose one of these."
            )
        self._warn()
        score = self.sign * metrics[self.metric]
        if better := score > self.best_score:
            self.best_score, self.best_step, self.validations_since_best = score, self.step, 0
            self.best_policy = deepcopy(self.learner.acting.state_dict())
            if self.stage + 1 < len(self.config.stages):
                self.best_learner = deepcopy(self.learner.state_dict())
        else:
            self.validations_since_best += 1
            if self.config.patience is not None and self.validations_since_best >= self.config.patience:
                self._end_stage()
        return better

    def _end_stage(self) -> None:
        """Start the next stage from the best state, or stop."""
        logger.info(
            "Update %d: no improvement of %s in %d validations; the best was at update %d",
            self.step, self.config.select_by, self.validations_since_best, self.best_step,
        )  # fmt: skip
        if self.stage + 1 >= len(self.config.stages):
            self.stopped = True
            return
        self.stage += 1
        self.stage_starts.append(self.step)
        self.validations_since_best = 0
        self.learner.load_state_dict(deepcopy(self.best_learner))
        self.learner.restart(self.config.stages[self.stage])
        if self.stage + 1 == len(self.config.stages):
            self.best_learner = {}
        logger.info(
            "Update %d: continue from update %d with %s", self.step, self.best_step, self.config.stages[self.stage]
        )

    def _warn(self) -> None:
        known = {warning.kind for warning in self.warnings}
        for warning in early_warnings(self.rows, self.limits):
            if warning.kind not in known:
                self.warnings.append(warning)
                logger.warning("Update %d: %s: %s", warning.step, warning.kind, warning.message)

    def _sound_state(self) -> dict[str, Any]:
        """`state_dict()`, if all values and weights are sound: a bad state must not replace a good checkpoint."""
        self._need_bounded("train", self._means())
        state = self.state_dict()
        self._need_finite(state["learner"])
        return state

    def _need_finite(self, parts: dict[str, Any]) -> None:
        for name, part in parts.items():
            if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors_of(part)):
                raise self._divergence(f"all numbers of {name}", math.nan, math.inf)

    def state_dict(self) -> dict[str, Any]:
        """The run's whole state, as tensors and plain values."""
        return {
            **{name: getattr(self, name) for name in KEPT},
            "made_with": self.made_with,
            "rows": [list(row) for row in self.rows],
            "warnings": [list(warning) for warning in self.warnings],
            "window": {name: list(pair) for name, pair in self.window.items()},
            "learner": self.learner.state_dict(),
            "sampler": self.sampler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`.

        Raises:
            LearnerError: it is of another learner, architecture, dataset or version.
        """
        found = state.get("made_with", {"format": "an earlier one"})
        for name, expected in self.made_with.items():
            if found.get(name) != expected:
                raise LearnerError(
                    f"checkpoint: expected {name} {expected}; found {found.get(name)}. Remove the checkpoint to train "
                    "from the start, or train with what it was made with."
                )
        self.learner.load_state_dict(state["learner"])
        self.sampler.load_state_dict(state["sampler"])
        device = next(iter(self.learner.acting.state_dict().values())).device
        for name in KEPT:
            setattr(self, name, state[name])
        self.rows = [(step, split, metric, value) for step, split, metric, value in state["rows"]]
        self.warnings = [EarlyWarning(*warning) for warning in state["warnings"]]
        self.window = {name: (total.to(device), count) for name, (total, count) in state["window"].items()}
        self.stage_starts = list(state["stage_starts"])  # this run appends to its own


def sizes(tensors: dict[str, Tensor]) -> str:
    """Names and shapes of tensors as text."""
    return ", ".join(f"{name} {'×'.join(map(str, tensor.shape))}" for name, tensor in tensors.items())


def tensors_of(state: Any) -> list[Tensor]:
    """All tensors in a nested state."""
    if isinstance(state, Tensor):
        return [state]
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return [tensor for part in parts for tensor in tensors_of(part)]
