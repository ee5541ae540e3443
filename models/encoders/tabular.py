"""Numbers, categories and ratings of items as standardised columns; all fitting sees training items only."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def numeric_block(
    columns: Mapping[str, NDArray[np.float64]], train: Mask, log_columns: Sequence[str] = ()
) -> NDArray[np.float32]:
    """Standardised columns and a missing flag for each: (I, 2 C) float32; NaN becomes the mean and raises its flag.

    Args:
        columns: name → (I,) float64 with NaN for unknown.
        train: (I,) bool, the items whose mean and deviation count.
        log_columns: names of counts and amounts, taken as log(1 + x).
    """
    blocks = []
    for name, raw in columns.items():
        values = np.log1p(raw) if name in log_columns else raw
        known = np.isfinite(values)
        fit = values[known & train]
        mean, deviation = (float(fit.mean()), float(fit.std())) if len(fit) else (0.0, 0.0)
        scaled = np.where(known, (values - mean) / deviation, 0.0) if deviation > 0 else np.zeros(len(values))
        blocks += [np.clip(scaled, -5, 5), (~known).astype(np.float64)]
    return np.stack(blocks, axis=1).astype(np.float32)


def multi_hot(lists: Sequence[Sequence[str]], train: Mask, min_count: int, max_terms: int) -> NDArray[np.float32]:
    """One column per frequent term of the training items: (I, T) float32 of 0 and 1, most frequent first."""
    counts = Counter(term for terms, known in zip(lists, train, strict=True) if known for term in set(terms))
    frequent = sorted(
        (term for term, count in counts.items() if count >= min_count), key=lambda term: (-counts[term], term)
    )
    column = {term: place for place, term in enumerate(frequent[:max_terms])}
    block = np.zeros((len(lists), len(column)), dtype=np.float32)
    for row, terms in enumerate(lists):
        for term in terms:
            if term in column:
                block[row, column[term]] = 1.0
    return block


def rating_statistics(
    item: NDArray[np.int64], rating: NDArray[np.float32], timestamp: NDArray[np.int64], items: int, prior: float = 5.0
) -> dict[str, NDArray[np.float64]]:
    """Per item, (I,) float64 each: count, mean rating shrunk to the overall mean, deviation, share of 4 and more,
    mean time of rating. Items without events have a count of 0 and NaN elsewhere, except the mean.

    Args:
        item: (N,) item index of each training event.
        rating: (N,).
        timestamp: (N,) unix seconds.
        items: I.
        prior: events' worth of the overall mean that every item starts with.
    """  # noqa: D205
    value = rating.astype(np.float64)
    count = np.bincount(item, minlength=items).astype(np.float64)

    def mean_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.bincount(item, weights=values, minlength=items) / count)

    overall = float(value.mean()) if len(value) else 0.0
    total = np.bincount(item, weights=value, minlength=items)
    return {
        "rating_count": count,
        "rating_mean": (total + prior * overall) / (count + prior),
        "rating_deviation": np.sqrt(np.maximum(mean_of(value**2) - mean_of(value) ** 2, 0)),
        "share_liked": mean_of((value >= 4).astype(np.float64)),
        "mean_time": mean_of(timestamp.astype(np.float64)),
    }
