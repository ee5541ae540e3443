"""Errors of item indexes."""

from storage.errors import MarqueeError


class IndexFileError(MarqueeError):
    """An item index cannot be built or opened: it is damaged, of another format, or what it needs is missing."""
