"""Confidence intervals of means over users and tests of differences, by resampling users without assumptions on distributions.

scipy.stats.bootstrap and permutation_test compute the same, 4 and 130 times slower; tests compare with them.
"""

import math

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
AT_ONCE = 1 << 22  # resampled users in memory at a time
LEVELS = (0.025, 0.975)
ROUNDING = 1e-9  # relative: sign-flipped sums that differ less from the observed sum count as equal


def bootstrap_means(values: Matrix, seed: int, draws: int = 1000) -> Matrix:
    """Means (draws, m) of bootstrap samples of users: as many as there are users, drawn with replacement (Efron 1979).

    The draws depend on the number of users and the seed only, so methods evaluated on the same users get the same samples.

    Args:
        values: (U, m); NaN if a user has no value in a column: the user is drawn, but not counted in that column.
        seed: of the draws.
        draws: number of samples.
    """
    users = len(values)
    there = ~np.isnan(values)
    partial = ~there.all(axis=0)
    filled, present = np.where(there, values, 0.0), there[:, partial].astype(float)
    rng = np.random.default_rng(seed)
    means = np.full((draws, values.shape[1]), np.nan)
    for block in _blocks(means, users):
        times = _times_drawn(len(block), users, rng)
        counted = np.full(block.shape, float(users))
        counted[:, partial] = times @ present
        np.divide(times @ filled, counted, out=block, where=counted > 0)
    return means


def bootstrap_intervals(values: Matrix, seed: int, draws: int = 1000) -> Matrix:
    """The 95 % percentile interval of each column's mean, (m, 2), by `bootstrap_means`; NaN for an empty column."""
    if len(values) == 0:
        return np.full((values.shape[1], 2), np.nan)
    means = bootstrap_means(values, seed, draws)
    empty = np.isnan(means).all(axis=0)
    means[:, empty] = 0.0
    intervals = np.nanquantile(means, LEVELS, axis=0).T
    intervals[empty] = np.nan
    return np.asarray(intervals)


def mean_interval(values: Matrix, seed: int) -> tuple[float, float, float]:
    """The mean of one value per user, (U,), and the ends of its `bootstrap_intervals`."""
    low, high = bootstrap_intervals(values[:, None], seed)[0].tolist()
    return float(values.mean()), low, high


def bootstrap_pairs(values: Matrix, seed: int, draws: int = 1000) -> tuple[float, float]:
    """The 95 % percentile interval of the mean over pairs of users, who are drawn as in `bootstrap_means`.

    A user drawn twice forms no pair with itself. NaN with fewer than three users.

    Args:
        values: (U, U), symmetric, one value per pair of users; the diagonal is ignored.
        seed: of the draws.
        draws: number of samples.
    """
    users = len(values)
    if users < 3:
        return math.nan, math.nan
    between = values - np.diag(np.diag(values))
    rng = np.random.default_rng(seed)
    means = np.empty((draws, 1))
    for block in _blocks(means, users):
        times = _times_drawn(len(block), users, rng)
        pairs = float(users) ** 2 - np.square(times).sum(axis=1)
        total = ((times @ between) * times).sum(axis=1)
        np.divide(total, pairs, out=block[:, 0], where=pairs > 0)
        block[pairs == 0] = np.nan  # only one distinct user was drawn
    low, high = np.nanquantile(means, LEVELS)
    return float(low), float(high)


def sign_flip_test(differences: Matrix, seed: int, draws: int = 10_000) -> Matrix:
    """Two-sided p, (m,), of no difference between two methods: Fisher's randomisation test (Smucker et al. 2007).

    If the methods are equally good, each user's difference has either sign with equal probability. p is the share of random
    signs with a mean at least as far from 0 as the observed mean; the observed signs count as one draw.

    Args:
        differences: (U, m), one method's value minus the other's; NaN if a user has none.
        seed: of the signs, the same in all columns.
        draws: number of draws of all signs; the smallest p is 1 / (draws + 1).
    """
    filled = np.nan_to_num(differences)
    filled = filled[filled.any(axis=1)]  # users without a difference do not change the sums
    total, slack = filled.sum(axis=0), ROUNDING * np.abs(filled).sum(axis=0)
    rng = np.random.default_rng(seed)
    users, sums = len(filled), np.empty((draws, filled.shape[1]))
    # Bytes of one draw: whole words, so that the size of blocks does not change the draws.
    width = 4 * math.ceil(users / 32)
    for block in _blocks(sums, users):
        drawn = np.frombuffer(rng.bytes(len(block) * width), dtype=np.uint8).reshape(len(block), width)
        block[:] = 2 * (np.unpackbits(drawn, axis=1, count=users).astype(float) @ filled) - total
    as_far = (np.abs(sums) >= np.abs(total) - slack).sum(axis=0)
    return np.asarray((as_far + 1) / (draws + 1))


def holm(p: Matrix) -> Matrix:
    """P values (n,) of a family of tests, adjusted to control the family-wise error rate (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def _times_drawn(draws: int, users: int, rng: np.random.Generator) -> Matrix:
    """The number of times that each user is in each sample: (draws, users)."""
    drawn = rng.integers(users, size=(draws, users), dtype=np.int32)  # six times as fast as int64
    drawn = drawn + users * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)


def _blocks(rows: Matrix, users: int) -> list[Matrix]:
    """Views of blocks of rows (draws), each of which needs at most AT_ONCE users in memory."""
    step = max(1, AT_ONCE // max(users, 1))
    return [rows[begin : begin + step] for begin in range(0, len(rows), step)]
