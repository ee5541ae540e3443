"""How sure a mean over users is, and whether two methods differ: resampling of users, nothing assumed of distributions."""

import math

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
AT_ONCE = 1 << 22  # resampled users that are held at a time
LEVELS = (0.025, 0.975)
ROUNDING = 1e-9  # of a sum: sign-flipped sums this near to the observed one count as equal


def bootstrap_means(values: Matrix, seed: int, draws: int = 1000) -> Matrix:
    """Means (draws, m) of samples of users, drawn with replacement as often as there are users (Efron 1979).

    The draws depend on the number of users and the seed alone: methods judged on the same users are resampled alike.

    Args:
        values: (U, m); NaN where a user has no value in a column: drawn, but not counted there.
        seed: of the draws.
        draws: how many samples.
    """
    users = len(values)
    there = ~np.isnan(values)
    partial = ~there.all(axis=0)
    filled, present = np.where(there, values, 0.0), there[:, partial].astype(float)
    rng = np.random.default_rng(seed)
    means = np.full((draws, values.shape[1]), np.nan)
    for rows in _blocks(draws, users):
        drawn = rng.integers(users, size=(len(rows), users)) + users * np.arange(len(rows))[:, None]
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)
        counted = np.full((len(rows), values.shape[1]), float(users))
        counted[:, partial] = times @ present
        np.divide(times @ filled, counted, out=means[rows], where=counted > 0)
    return means


def bootstrap_intervals(values: Matrix, seed: int, draws: int = 1000) -> Matrix:
    """The 95 % percentile interval of each column's mean, (m, 2): see `bootstrap_means`. NaN where a column is empty."""
    if len(values) == 0:
        return np.full((values.shape[1], 2), np.nan)
    means = bootstrap_means(values, seed, draws)
    empty = np.isnan(means).all(axis=0)
    means[:, empty] = 0.0
    intervals = np.nanquantile(means, LEVELS, axis=0).T
    intervals[empty] = np.nan
    return np.asarray(intervals)


def sign_flip_test(differences: Matrix, seed: int, draws: int = 10_000) -> Matrix:
    """Two-sided p, (m,), of no difference between two methods: Fisher's randomisation test (Smucker et al. 2007).

    If the methods are alike, each user's difference could as well have the other sign. p is the share of random signs under
    which the mean is at least as far from 0 as the observed one, that one counted in.

    Args:
        differences: (U, m), one method's value less the other's; NaN where a user has none.
        seed: of the signs, the same in all columns.
        draws: how many times all signs are drawn; the smallest p is 1 / (draws + 1).
    """
    filled = np.nan_to_num(differences)
    total, slack = filled.sum(axis=0), ROUNDING * np.abs(filled).sum(axis=0)
    rng = np.random.default_rng(seed)
    users, as_far = len(filled), np.zeros(filled.shape[1])
    width = 4 * math.ceil(users / 32)  # bytes of one draw: whole words, so that blocks of draws do not matter
    for rows in _blocks(draws, users):
        drawn = np.frombuffer(rng.bytes(len(rows) * width), dtype=np.uint8).reshape(len(rows), width)
        positive = np.unpackbits(drawn, axis=1, count=users).astype(float)
        sums = 2 * (positive @ filled) - total
        as_far += (np.abs(sums) >= np.abs(total) - slack).sum(axis=0)
    return np.asarray((as_far + 1) / (draws + 1))


def holm(p: Matrix) -> Matrix:
    """p values (n,) of one family of tests, adjusted so that any false alarm is as unlikely as they say (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def _blocks(draws: int, users: int) -> list[NDArray[np.int64]]:
    """All draws, as many at a time as memory should hold."""
    step = max(1, AT_ONCE // max(users, 1))
    return [np.arange(begin, min(begin + step, draws)) for begin in range(0, draws, step)]
