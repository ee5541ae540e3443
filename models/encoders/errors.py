"""Errors of encoders; a ValueError, since models know nothing of the rest of Marquee."""


class EncoderError(ValueError):
    """A text encoder cannot be loaded, or features cannot be reduced."""
