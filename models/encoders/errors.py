"""Errors of encoders; a ValueError, because models import nothing of the other packages."""


class EncoderError(ValueError):
    """A text encoder cannot be loaded, or features cannot be reduced."""
