"""What feature blocks share: their type, one column per term, standardised numbers. All is fit on training items only."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.encoders.columns import ItemColumns, Terms, TrainingEvents
from models.encoders.sums import Counts, Moments, Sums

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[np.float64]]
LARGEST = 5.0  # standard deviations; larger values are clipped
NO_ARRAYS: Arrays = MappingProxyType({})


class Fit(NamedTuple):
    """What a block learnt from the training items, from which the rows of items are made.

    Attributes:
        names: of the W columns; none if the source has no such data.
        arrays: by name, such as means; `blank` is the row of an item without data, (W,), if that is not zeros.
    """

    names: list[str]
    arrays: Arrays = NO_ARRAYS


class Block(NamedTuple):
    """The rows of I items in one block of features, W columns wide."""

    values: Floats  # (I, W)
    known: Mask  # (I,) whether the block has data of the item


class FeatureBlock(NamedTuple):
    """A kind of feature: how a block is fitted and applied, and how much it counts.

    Items come in parts. A block collects sums from each part; they add up to the sums of all items, from which it is fitted.

    Attributes:
        name: of the parameter `features.weights.<name>` and in reports.
        collect: the sums of some items, among them training items and others.
        finish: what is fitted, from the sums of all items. Its usual keyword arguments are `least`, the training items that a
            term needs, and `most`, the number of terms.
        apply: the rows of some items, from what was fitted. Further items, which came after the fit, have no events or tags.
        weight: default standard deviation of the whole block before the reduction; 0 leaves it out.
        note: one sentence for the parameter's description and the feature report.
        named: whether column names mean something to a reader; those of encoder dimensions do not.
        of_events: makes columns (I, C) from all training events and the number of items; `ItemColumns.of_events` has them.
    """

    name: str
    collect: Callable[[ItemColumns], Sums]
    finish: Callable[..., Fit]
    apply: Callable[[Fit, ItemColumns], Block]
    weight: float
    note: str
    named: bool = True
    of_events: Callable[[TrainingEvents, int], NDArray[Any]] | None = None


def with_values(values: Floats) -> Block:
    """The rows (I, W) of a block that knows the items with a value other than 0."""
    return Block(values, np.asarray(values.any(axis=1)))


def blank_block(fit: Fit, items: ItemColumns) -> Block:
    """The row of an item without data, for each item: (I, W)."""
    rows = np.zeros((len(items.train), len(fit.names)), dtype=np.float32)
    rows[:] = fit.arrays.get("blank", 0.0)
    return Block(rows, np.zeros(len(rows), dtype=bool))


def term_counts(terms: Terms, items: int) -> csr_matrix:
    """How often each item carries each term, (I, T) sparse float32."""
    ones = np.ones(len(terms.item), np.float32)
    return csr_matrix((ones, (terms.item, terms.code)), shape=(items, len(terms.vocabulary)))


def item_frequency(terms: Terms, train: Mask) -> Counts:
    """In how many training items each term is, without those that are in none."""
    frequency = np.bincount(term_counts(terms, len(train))[train].indices, minlength=len(terms.vocabulary))
    return Counts({terms.vocabulary[code]: int(frequency[code]) for code in np.flatnonzero(frequency).tolist()})


def most_frequent(frequency: Mapping[str, int], least: int, most: int) -> list[str]:
    """The `most` terms that are in the most items, and in at least `least`; the most frequent first."""
    found = [term for term, count in frequency.items() if count >= least and term]
    return sorted(found, key=lambda term: (-frequency[term], term))[:most]


def inverse_frequency(items: int, frequency: Sequence[int]) -> NDArray[np.float64]:
    """The inverse document frequency of terms, (T,), of `items` items; computed in float32 as scikit-learn does."""
    ratio = np.float32(items + 1) / (np.array(frequency, dtype=np.float32) + np.float32(1))
    return np.asarray(np.log(ratio) + np.float32(1), dtype=np.float64)


def place_of_terms(terms: Terms, names: Sequence[str]) -> NDArray[np.int64]:
    """The column of each pair's term, (n,); -1 if it has none."""
    column = {name: place for place, name in enumerate(names)}
    return np.array([column.get(term, -1) for term in terms.vocabulary], dtype=np.int64)[terms.code]


def carried(terms: Terms | None, names: Sequence[str], items: int) -> Floats:
    """1 where an item carries a term, else 0: (I, T) for T terms by name."""
    values = np.zeros((items, len(names)), dtype=np.float32)
    if terms is not None:
        place = place_of_terms(terms, names)
        values[terms.item[place >= 0], place[place >= 0]] = 1
    return values


def terms_block(
    name: str, columns: Mapping[str, str], *, least: int, most: int | Mapping[str, int], weight: float, note: str
) -> FeatureBlock:
    """The kind of feature that has one column of 0 and 1 per term, of some columns of `items.terms`.

    Args:
        name: as of `FeatureBlock`.
        columns: by prefix of the names, the column; "" is no prefix.
        least: training items that a term needs.
        most: the largest number of terms of each column, or by prefix.
        weight: as of `FeatureBlock`.
        note: as of `FeatureBlock`.
    """
    return FeatureBlock(
        name,
        partial(collect_terms, columns=columns),
        partial(finish_terms, least=least, most=most),
        partial(apply_terms, columns=columns),
        weight,
        note,
    )


def collect_terms(items: ItemColumns, columns: Mapping[str, str]) -> Sums:
    """By prefix, in how many training items each term is."""
    found = {prefix: items.terms.get(name) for prefix, name in columns.items()}
    return Sums({prefix: item_frequency(terms, items.train) for prefix, terms in found.items() if terms is not None})


def finish_terms(sums: Sums, least: int, most: int | Mapping[str, int]) -> Fit:
    """One column for each frequent term, the most frequent terms of a prefix first."""
    names = []
    for prefix, frequency in sums.items():
        chosen = most_frequent(frequency, least, most if isinstance(most, int) else most[prefix])
        names += [f"{prefix}: {name}" if prefix else name for name in chosen]
    return Fit(names)


def apply_terms(fit: Fit, items: ItemColumns, columns: Mapping[str, str]) -> Block:
    """1 where an item carries a term, (I, W); terms without a column are left out."""
    parts = []
    for prefix, name in columns.items():
        start = f"{prefix}: " if prefix else ""
        own = [column.removeprefix(start) for column in fit.names if column.startswith(start)]
        parts.append(carried(items.terms.get(name), own, len(items.train)))
    return with_values(np.concatenate(parts, axis=1))


def column_moments(columns: Mapping[str, NDArray[np.float64]], train: Mask, log_columns: Sequence[str] = ()) -> Sums:
    """The moments of columns over training items.

    Args:
        columns: name → (I,) float64, NaN for unknown.
        train: (I,) bool, the items whose values count.
        log_columns: names of counts and amounts, taken as log(1 + x).
    """
    return Sums({name: Moments.of(in_scale(name, raw, log_columns)[train]) for name, raw in columns.items()})


def in_scale(name: str, raw: NDArray[np.float64], log_columns: Sequence[str]) -> NDArray[np.float64]:
    """A column as it is standardised: counts and amounts by their logarithm."""
    return np.log1p(raw) if name in log_columns else raw


def scaling(moments: Mapping[str, Moments]) -> dict[str, NDArray[np.float64]]:
    """The `mean` and `deviation` of C columns, (C,) each, from their moments."""
    return {
        "mean": np.array([float(one.mean) for one in moments.values()]),
        "deviation": np.array([float(np.sqrt(one.variance)) for one in moments.values()]),
    }


def standardised(columns: Mapping[str, NDArray[np.float64]], arrays: Arrays, log_columns: Sequence[str] = ()) -> Floats:
    """Columns less their mean and divided by their deviation, (I, C); unknown values and columns that do not vary become 0.

    Args:
        columns: name → (I,) float64, NaN for unknown; at least one.
        arrays: of `scaling`.
        log_columns: as of `column_moments`.
    """
    scaled = np.zeros((len(next(iter(columns.values()))), len(columns)), dtype=np.float32)
    for place, (name, raw) in enumerate(columns.items()):
        values = in_scale(name, raw, log_columns)
        known = np.isfinite(values)
        mean, deviation = arrays["mean"][place], arrays["deviation"][place]
        if deviation > 0:
            scaled[known, place] = np.clip((values[known] - mean) / deviation, -LARGEST, LARGEST)
    return scaled
