"""Errors of models; a ValueError, since models know nothing of the rest of Marquee."""


class LearnerError(ValueError):
    """A learner cannot go on: its input, its numbers or its saved state are not what they must be."""
