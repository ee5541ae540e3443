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
    for block in _blocks(means, users):
        times = _times_drawn(len(block), users, rng)
        counted = np.full(block.shape, float(users))
        counted[:, partial] = times @ present
        np.divide(times @ filled, counted, out=block, where=counted > 0)
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


def bootstrap_pairs(values: Matrix, seed: int, draws: int = 1000) -> tuple[float, float]:
    """The 95 % percentile interval of the mean over pairs of users, who are drawn as in `bootstrap_means`.

    A user who was drawn twice makes no pair with itself. NaN with fewer than three users.

    Args:
        values: (U, U), symmetric, of every two users; the diagonal does not count.
        seed: of the draws.
        draws: how many samples.
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
        block[pairs == 0] = np.nan  # one user alone was drawn
    low, high = np.nanquantile(means, LEVELS)
    return float(low), float(high)


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
    filled = filled[filled.any(axis=1)]  # where the methods do alike, a sign changes nothing
    total, slack = filled.sum(axis=0), ROUNDING * np.abs(filled).sum(axis=0)
    rng = np.random.default_rng(seed)
    users, sums = len(filled), np.empty((draws, filled.shape[1]))
    width = 4 * math.ceil(users / 32)  # bytes of one draw: whole words, so that blocks of draws do not matter
    for block in _blocks(sums, users):
        drawn = np.frombuffer(rng.bytes(len(block) * width), dtype=np.uint8).reshape(len(block), width)
        block[:] = 2 * (np.unpackbits(drawn, axis=1, count=users).astype(float) @ filled) - total
    as_far = (np.abs(sums) >= np.abs(total) - slack).sum(axis=0)
    return np.asarray((as_far + 1) / (draws + 1))


def holm(p: Matrix) -> Matrix:
    """P values (n,) of one family of tests, adjusted so that any false alarm is as unlikely as they say (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def _times_drawn(draws: int, users: int, rng: np.random.Generator) -> Matrix:
    """How often each user is in each sample: (draws, users)."""
    drawn = rng.integers(users, size=(draws, users), dtype=np.int32)  # six times as fast as int64
    drawn = drawn + users * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)


def _blocks(rows: Matrix, users: int) -> list[Matrix]:
    """A matrix with a row per draw as views of so many rows as memory should hold users for."""
    step = max(1, AT_ONCE // max(users, 1))
    return [rows[begin : begin + step] for begin in range(0, len(rows), step)]
