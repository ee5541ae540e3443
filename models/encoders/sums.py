"""Statistics of some items that add up to those of all items, in whatever parts these are counted.

Shapes: n items, C columns.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


class Counts(Counter[str]):
    """How often each name occurs; a name that does not has 0."""

    def __add__(self, other: "Counts") -> "Counts":  # type: ignore[override]
        """The sums of both parts; `Counter` would look at every entry of the larger part, too."""
        sums = Counts(self)
        sums.update(other)
        return sums


class Sums(dict[str, Any]):
    """Statistics by name: numbers, `Counts`, `Moments`, `Products`, `Sums`, everything that can be added."""

    def __add__(self, other: "Sums") -> "Sums":
        """The sums of both parts, which have the same names."""
        return Sums({name: value + other[name] for name, value in self.items()})


@dataclass(frozen=True)
class Moments:
    """Mean and spread of the known values of columns.

    Parts add up by Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
    """

    count: Doubles  # (C,) known values
    mean: Doubles  # (C,)
    squares: Doubles  # (C,) sum of the squared distances from the mean

    @classmethod
    def of(cls, values: NDArray[Any]) -> Self:
        """The moments of rows (n, C), or of one column (n,); NaN is unknown."""
        known = np.isfinite(values)
        count = known.sum(axis=0, dtype=np.float64)
        mean = np.where(known, values, 0).sum(axis=0, dtype=np.float64) / np.maximum(count, 1)
        return cls(count, mean, np.square(np.where(known, values - mean, 0)).sum(axis=0, dtype=np.float64))

    def __add__(self, other: "Moments") -> "Moments":
        count = self.count + other.count
        apart, share = other.mean - self.mean, other.count / np.maximum(count, 1)
        squares = self.squares + other.squares + apart * apart * self.count * share
        return Moments(count, self.mean + apart * share, squares)

    @property
    def variance(self) -> Doubles:
        """(C,), 0 where nothing is known."""
        return np.asarray(self.squares / np.maximum(self.count, 1))


@dataclass(frozen=True)
class Products:
    """The sum of XᵀY over rows of two matrices (n, A) and (n, B), both centred; parts add up as those of `Moments`."""

    count: int
    left: Doubles  # (A,) mean
    right: Doubles  # (B,) mean
    products: Doubles  # (A, B)

    @classmethod
    def of(cls, left: NDArray[np.float32], right: NDArray[np.float32]) -> Self:
        """The products of rows (n, A) and (n, B), n ≥ 0."""
        means = [part.sum(axis=0, dtype=np.float64) / max(len(part), 1) for part in (left, right)]
        first = left - means[0].astype(np.float32)
        second = first if right is left else right - means[1].astype(np.float32)
        return cls(len(left), means[0], means[1], (first.T @ second).astype(np.float64))

    def __add__(self, other: "Products") -> "Products":
        count = self.count + other.count
        share = other.count / max(count, 1)
        left, right = other.left - self.left, other.right - self.right
        products = self.products + other.products
        products += np.outer(left * (self.count * share), right)
        return Products(count, self.left + left * share, self.right + right * share, products)

    @property
    def mean_product(self) -> Doubles:
        """The covariance of the columns, (A, B)."""
        return self.products / max(self.count, 1)
