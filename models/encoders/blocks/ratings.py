"""Statistics of an item's ratings by training users."""

import numpy as np
from numpy.typing import NDArray

from models.encoders.columns import ItemColumns, TrainingEvents
from models.encoders.sums import Moments, Sums
from models.encoders.tabular import Block, FeatureBlock, Fit, blank_block, column_moments, scaling, standardised

PRIOR = 5.0  # ratings of the overall mean that are added to every item's own
CHUNK = 1 << 20  # events processed at a time
COUNT = ("count",)  # taken as log(1 + x)
STATISTICS = ("count", "mean", "deviation", "share_above", "first_time", "mean_time")  # columns of `rating_statistics`


def rating_statistics(events: TrainingEvents, items: int) -> NDArray[np.float64]:
    """Statistics of each item, (I, 7); NaN for items without events, except their count of 0 and the shrunk mean.

    `count`; `mean` rating, shrunk to the overall mean; `deviation`; `share_above` the overall mean, which is a like on
    any scale; `first_time` and `mean_time` of its ratings, unix seconds. The last column is the overall mean.
    """
    overall = float(events.rating.mean(dtype=np.float64)) if len(events.rating) else 0.0
    count, total, squares, above, time = (np.zeros(items) for _ in range(5))
    first = np.full(items, np.iinfo(np.int64).max)
    for start in range(0, len(events.item), CHUNK):
        part = slice(start, start + CHUNK)
        item, apart = events.item[part], events.rating[part] - overall
        count += np.bincount(item, minlength=items)
        total += np.bincount(item, apart, items)
        squares += np.bincount(item, apart * apart, items)
        above += np.bincount(item[apart > 0], minlength=items)
        time += np.bincount(item, events.timestamp[part], items)
        np.minimum.at(first, item, events.timestamp[part])
    rated = count > 0
    each = np.where(rated, count, np.nan)
    deviation = np.sqrt(np.maximum(squares / each - (total / each) ** 2, 0))
    mean, first_time = overall + total / (count + PRIOR), np.where(rated, first, np.nan)
    return np.stack([count, mean, deviation, above / each, first_time, time / each, np.full(items, overall)], axis=1)


def collect(items: ItemColumns) -> Sums:
    """The moments of every statistic over training items, and the overall mean."""
    if "ratings" not in items.of_events:
        return Sums()
    moments = column_moments(statistics_of(items), items.train, COUNT)
    return Sums(statistics=moments, overall=Moments.of(items.of_events["ratings"][:, -1]))


def finish(sums: Sums) -> Fit:
    """A column for each statistic; `blank` is an item without events: average but for its count."""
    if not sums:
        return Fit([])
    arrays = scaling(sums["statistics"])
    unrated = dict.fromkeys(STATISTICS, np.array([np.nan])) | {
        "count": np.zeros(1),
        "mean": sums["overall"].mean.reshape(1),
    }
    return Fit(list(STATISTICS), arrays | {"blank": standardised(unrated, arrays, COUNT)[0].astype(np.float64)})


def apply(fit: Fit, items: ItemColumns) -> Block:
    """Standardised statistics of the training events, (I, 6)."""
    if "ratings" not in items.of_events:
        return blank_block(fit, items)
    statistics = statistics_of(items)
    return Block(standardised(statistics, fit.arrays, COUNT), statistics["count"] > 0)


def statistics_of(items: ItemColumns) -> dict[str, NDArray[np.float64]]:
    """The statistics by name, (I,) each."""
    return dict(zip(STATISTICS, items.of_events["ratings"].T, strict=False))


BLOCK = FeatureBlock(
    "ratings",
    collect,
    finish,
    apply,
    weight=0.2,
    note="Statistics of the training users' ratings.",
    of_events=rating_statistics,
)
