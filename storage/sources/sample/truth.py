"""The mean ratings that users of the generated sample would give, as a reference for estimates."""

import math

import numpy as np
from numpy.typing import NDArray

from storage.dataset.scale import RewardMap
from storage.sources.sample.release import Truth, true_affinity

# As `storage.sources.sample.release` draws them: stars = 3.4 + 0.75 affinity + a user's own 0.35 N(0, 1) + an event's 0.5 N(0, 1),
# rounded to halves from 0.5 to 5. A test checks that the two agree.
MIDDLE, SLOPE, SPREAD = 3.4, 0.75, math.hypot(0.35, 0.5)


def true_ratings(truth: Truth) -> NDArray[np.float32]:
    """The mean rating of every user for every movie, rated or not: (U, M) float32 stars."""
    affinity = true_affinity(truth)
    grid = np.linspace(float(affinity.min()), float(affinity.max()), 2001)
    mean = [_rounded_mean(MIDDLE + SLOPE * value) for value in grid.tolist()]
    return np.interp(affinity, grid, mean).astype(np.float32)


def true_rewards(
    truth: Truth, user_ids: NDArray[np.int64], movie_ids: NDArray[np.int64], reward: RewardMap
) -> NDArray[np.float32]:
    """The mean rewards of a dataset's users and items, in the dataset's order: (U, I) float32.

    Args:
        truth: of the sample that the dataset was made from.
        user_ids: (U,) outside ids.
        movie_ids: (I,) outside ids.
        reward: the dataset's reward of a rating.
    """
    rows, columns = truth.user_ids.searchsorted(user_ids), truth.movie_ids.searchsorted(movie_ids)
    return (reward.scale * true_ratings(truth)[np.ix_(rows, columns)] + reward.offset).astype(np.float32)


def _rounded_mean(middle: float) -> float:
    """The mean of a normal variable around `middle` after rounding to halves and clipping to 0.5 … 5.

    It is 0.5 + Σ_k 0.5 P(rounded value ≥ 0.5 (k + 1)).
    """
    steps = ((k + 0.5) / 2 for k in range(1, 10))
    return 0.5 + sum(0.25 * math.erfc((step - middle) / (SPREAD * math.sqrt(2))) for step in steps)
