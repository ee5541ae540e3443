"""Statistics of an item's ratings by training users."""

import numpy as np
from numpy.typing import NDArray

from models.encoders.columns import ItemColumns, TrainingEvents
from models.encoders.tabular import Block, FeatureBlock, blank_rows, scaling, standardised

PRIOR = 5.0  # ratings of the overall mean that are added to every item's own
CHUNK = 1 << 20  # events processed at a time
COUNT = ("count",)  # taken as log(1 + x)


def ratings_block(items: ItemColumns) -> Block:
    """Standardised statistics of the training events, (I, 6); items without events get the mean of every statistic except their count."""
    statistics = rating_statistics(items.events, len(items.train) + 1)  # the last one has no events
    arrays = scaling(statistics, np.append(items.train, False), COUNT)
    values = standardised(statistics, arrays, COUNT)
    blank = {"blank": values[-1].astype(np.float64)}
    return Block(values[:-1], list(statistics), statistics["count"][:-1] > 0, blank)


def rating_statistics(events: TrainingEvents, items: int) -> dict[str, NDArray[np.float64]]:
    """Per item, (I,) float64 each; NaN for items without events, except their count of 0 and the shrunk mean.

    `count`; `mean` rating, shrunk to the overall mean; `deviation`; `share_above` the overall mean, which is a like on
    any scale; `first_time` and `mean_time` of its ratings, unix seconds.
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
    return {
        "count": count,
        "mean": overall + total / (count + PRIOR),
        "deviation": np.sqrt(np.maximum(squares / each - (total / each) ** 2, 0)),
        "share_above": above / each,
        "first_time": np.where(rated, first, np.nan),
        "mean_time": time / each,
    }


BLOCK = FeatureBlock(
    "ratings", ratings_block, blank_rows, weight=0.2, note="Statistics of the training users' ratings."
)
