"""Reading the generated sample as any release is read."""

from pathlib import Path
from typing import Any

from ratings_support import concatenated

from storage.dataset.histories import UserHistories
from storage.dataset.scale import RatingScale
from storage.sources.bad_rows import BadRows
from storage.sources.movielens.movies import read_movies
from storage.sources.movielens.ratings import RatingsLayout, read_ratings
from storage.sources.movielens.releases import find_release


def read_events(folder: Path) -> tuple[UserHistories, dict[str, Any]]:
    """All histories of the sample in `folder`, and what reading counted."""
    known = read_movies(find_release(folder), BadRows())[0]["movie_id"].to_numpy()
    facts: dict[str, Any] = {}
    ratings = read_ratings(RatingsLayout(folder / "ratings.csv"), RatingScale(), known, BadRows(), facts)
    return concatenated(ratings), facts
