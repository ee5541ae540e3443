"""Errors of models. They are ValueErrors, because models import nothing of the other packages."""


class LearnerError(ValueError):
    """A learner cannot continue: its input, its numbers or its saved state are invalid."""


class PolicyError(LearnerError):
    """A stored policy is damaged, of another format, or is not a valid policy."""


class DivergenceError(LearnerError):
    """Training diverged; the policy of update `best_step` is kept."""

    def __init__(self, message: str, step: int, metric: str, value: float, bound: float, best_step: int) -> None:
        super().__init__(message)
        self.step, self.metric, self.value, self.bound, self.best_step = step, metric, value, bound, best_step

    def __reduce__(self) -> tuple[type["DivergenceError"], tuple[object, ...]]:
        """What pickle makes a copy from; an error of several arguments cannot be copied from its message alone."""
        return DivergenceError, (str(self), self.step, self.metric, self.value, self.bound, self.best_step)

    def with_message(self, message: str) -> "DivergenceError":
        """A copy with another message."""
        return DivergenceError(message, self.step, self.metric, self.value, self.bound, self.best_step)


class EncoderError(ValueError):
    """A text encoder cannot be loaded, or features cannot be reduced."""
