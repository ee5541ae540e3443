"""Ratings tables of any source."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RatingsLayout:
    """Where a ratings table lies and how its columns are told apart."""

    path: Path
    delimiter: bytes = b","
    header: bool = True
    # Names of user, item, rating, timestamp in the header (None: userId, movieId, rating, timestamp); by order without one.
    columns: tuple[str, str, str, str] | None = None
