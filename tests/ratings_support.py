"""What the tests of ratings and histories share."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.dataset.histories import UserHistories
from storage.dataset.scale import RatingScale
from storage.errors import SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.movielens.ratings import RatingsLayout, read_ratings

HEADER = "userId,movieId,rating,timestamp\n"


def concatenated(blocks: Iterable[UserHistories]) -> UserHistories:
    """All histories as one block.

    Raises:
        SourceError: there are none.
    """
    columns = list(zip(*blocks, strict=True))
    if not columns:
        raise SourceError("histories: expected events; found none. Check the source's ratings.")
    return UserHistories(*(np.concatenate(column) for column in columns))


KNOWN = np.array([1, 2, 3])


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "ratings.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(
    path: Path,
    known: NDArray[Any] = KNOWN,
    bad: BadRows | None = None,
    scale: RatingScale | None = None,
    **layout: Any,
) -> tuple[UserHistories, dict[str, Any]]:
    facts: dict[str, Any] = {}
    ratings = read_ratings(RatingsLayout(path, **layout), scale or RatingScale(), known, bad or BadRows(), facts)
    return concatenated(ratings), facts


def events_of(histories: UserHistories) -> list[tuple[int, int, int, int]]:
    """User, item, code and timestamp of every event."""
    user = np.repeat(histories.user_id, histories.length)
    return list(zip(*(c.tolist() for c in (user, *histories[2:])), strict=True))
