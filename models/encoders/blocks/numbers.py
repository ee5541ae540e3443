"""Amounts, lengths, dates and other sites' ratings of an item."""

import numpy as np
from numpy.typing import NDArray

from models.encoders.columns import ItemColumns
from models.encoders.sums import Sums
from models.encoders.tabular import Block, FeatureBlock, Fit, column_moments, scaling, standardised

COUNTS = (
    "budget_usd", "revenue_usd", "popularity", "vote_count", "imdb_votes", "awards_won", "award_nominations",
)  # fmt: skip
ZERO_IS_UNKNOWN = ("runtime_minutes", "budget_usd", "revenue_usd", "vote_average", "imdb_rating")


def collect(items: ItemColumns) -> Sums:
    """The moments of every number over training items."""
    return column_moments(number_columns(items), items.train, COUNTS)


def finish(sums: Sums) -> Fit:
    """A column for each number that a training item has, and one for its flag."""
    kept = {name: moments for name, moments in sums.items() if moments.count}
    return Fit([*kept, *(f"{name} unknown" for name in kept)], scaling(kept))


def apply(fit: Fit, items: ItemColumns) -> Block:
    """Standardised numbers and a flag for each unknown one, (I, 2 C); counts and amounts by their logarithm.

    The year is a number as it is; the month of release is a point on a circle, December beside January.
    """
    columns, unknown = number_columns(items), np.full(len(items.train), np.nan)
    kept = {name: columns.get(name, unknown) for name in fit.names[: len(fit.names) // 2]}
    missing = ~np.isfinite(np.stack(list(kept.values()), axis=1))
    values = np.concatenate([standardised(kept, fit.arrays, COUNTS), missing.astype(np.float32)], axis=1)
    return Block(values, np.asarray(~missing.all(axis=1)))


def number_columns(items: ItemColumns) -> dict[str, NDArray[np.float64]]:
    """The numbers by name, (I,) each, NaN for unknown."""
    columns = dict(items.numbers)
    for name in ZERO_IS_UNKNOWN:
        if name in columns:
            columns[name] = np.where(columns[name] > 0, columns[name], np.nan)
    month = columns.pop("release_month", None)
    if month is not None:
        columns["release_month_sine"] = np.sin(month * np.pi / 6)
        columns["release_month_cosine"] = np.cos(month * np.pi / 6)
    return columns


BLOCK = FeatureBlock(
    "numbers",
    collect,
    finish,
    apply,
    weight=0.4,
    note="Year, month, runtime, money, votes, other sites' ratings.",
)
