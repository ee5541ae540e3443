"""Errors of models; a ValueError, since models know nothing of the rest of Marquee."""


class LearnerError(ValueError):
    """A learner cannot go on: its input, its numbers or its saved state are not what they must be."""


class DivergenceError(LearnerError):
    """Training ran away; what was learnt up to `best_step` is kept."""

    def __init__(self, message: str, step: int, metric: str, value: float, bound: float, best_step: int) -> None:
        super().__init__(message)
        self.step = step
        self.metric = metric
        self.value = value
        self.bound = bound
        self.best_step = best_step

    def told_as(self, message: str) -> "DivergenceError":
        """The same, in other words."""
        return DivergenceError(message, self.step, self.metric, self.value, self.bound, self.best_step)
