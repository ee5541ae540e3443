"""Metric values per user: means over a user's cases, means over users and their bootstrap intervals."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.statistics import bootstrap_intervals


@dataclass(frozen=True)
class PerUser:
    """Metrics of one method.

    Legend of shapes:
        users   (U,) int64      user rows, ascending
        names   m               such as `ndcg@10`
        values  (U, m) float64  the mean over a user's cases; NaN if a metric is not defined for the user
    """

    users: NDArray[np.int64]
    names: tuple[str, ...]
    values: NDArray[np.float64]

    def column(self, name: str) -> NDArray[np.float64]:
        """The values (U,) of one metric."""
        return self.values[:, self.names.index(name)]

    def beside(self, other: "PerUser") -> "PerUser":
        """These metrics followed by other metrics of the same users.

        Raises:
            ValueError: the users differ.
        """
        if not np.array_equal(self.users, other.users):
            raise ValueError(
                "metrics: expected values of the same users; found different users. Rank the same cases with both."
            )
        return PerUser(self.users, self.names + other.names, np.concatenate((self.values, other.values), axis=1))


def mean_by_user(users: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]]) -> PerUser:
    """Average columns (T,) over the cases of each user; NaN values are left out of the mean.

    Args:
        users: (T,) user row of each case.
        columns: by name a metric of each case, (T,).
    """
    distinct, place, cases = np.unique(users, return_inverse=True, return_counts=True)
    values = np.empty((len(distinct), len(columns)))
    for row, column in enumerate(columns.values()):
        known = ~np.isnan(column)
        complete = bool(known.all())
        counts = cases if complete else np.bincount(place[known], minlength=len(distinct))
        sums = np.bincount(place, column) if complete else np.bincount(place[known], column[known], len(distinct))
        np.divide(sums, counts, out=values[:, row], where=counts > 0)
        values[counts == 0, row] = np.nan
    return PerUser(distinct, tuple(columns), values)


def means(per_user: PerUser) -> dict[str, float]:
    """The mean of each metric over the users who have a value; NaN if no user has one."""
    known = ~np.isnan(per_user.values)
    counts = known.sum(axis=0)
    sums = np.where(known, per_user.values, 0.0).sum(axis=0)
    found = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return dict(zip(per_user.names, found.tolist(), strict=True))


def intervals(per_user: PerUser, seed: int) -> dict[str, tuple[float, float]]:
    """The 95 % bootstrap interval over users of the mean of each metric; metrics without a value are left out."""
    found = zip(per_user.names, bootstrap_intervals(per_user.values, seed).tolist(), strict=True)
    return {name: (low, high) for name, (low, high) in found if np.isfinite(low)}


def finite(value: float) -> float | None:
    """The number, or None if it is NaN or infinite."""
    return value if np.isfinite(value) else None
