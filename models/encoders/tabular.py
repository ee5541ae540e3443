"""What feature blocks share: their type, one column per term, standardised numbers. All is fit on training items only."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.encoders.columns import ItemColumns, Terms

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[np.float64]]
LARGEST = 5.0  # standard deviations; larger values are clipped
NO_ARRAYS: Arrays = MappingProxyType({})


class Fit(NamedTuple):
    """What a block learnt from the training items, from which the rows of further items are made.

    Attributes:
        names: of the W columns.
        arrays: by name, such as means; `blank` is the row of an item without data, (W,), if that is not zeros.
    """

    names: list[str]
    arrays: Arrays = NO_ARRAYS


class Block(NamedTuple):
    """One block of features of I items, W columns wide."""

    values: Floats  # (I, W)
    names: list[str]  # W names of columns
    known: Mask  # (I,) whether the block has data of the item
    arrays: Arrays = NO_ARRAYS  # see `Fit`

    @property
    def fit(self) -> Fit:
        """What the block learnt."""
        return Fit(self.names, self.arrays)


class FeatureBlock(NamedTuple):
    """A kind of feature: how a block is built, and how much it counts.

    Attributes:
        name: of the parameter `features.weights.<name>` and in reports.
        build: a pure function of `ItemColumns`. Its usual keyword arguments are `least`, the training items that a term
            needs, and `most`, the number of terms.
        rows: gives the rows (I, W) of further items, which have no events, from the fit; nothing is fitted.
        weight: default standard deviation of the whole block before the reduction; 0 leaves it out.
        note: one sentence for the parameter's description and the feature report.
        named: whether column names mean something to a reader; those of encoder dimensions do not.
    """

    name: str
    build: Callable[..., Block]
    rows: Callable[[Fit, ItemColumns], Floats]
    weight: float
    note: str
    named: bool = True


def empty_block(items: int) -> Block:
    """A block without columns, for a source without such data."""
    return Block(np.zeros((items, 0), dtype=np.float32), [], np.zeros(items, dtype=bool))


def blank_rows(fit: Fit, items: ItemColumns) -> Floats:
    """The row of an item without data, for each item: (I, W); of blocks that are made from events or tags."""
    rows = np.zeros((len(items.train), len(fit.names)), dtype=np.float32)
    rows[:] = fit.arrays.get("blank", 0.0)
    return rows


def not_all_zero(values: Floats) -> Mask:
    """Whether each row has a value other than 0, (I,) bool."""
    return np.asarray(values.any(axis=1))


def as_one_block(blocks: Mapping[str, Block]) -> Block:
    """Several blocks of the same items as one, names prefixed by the mapping's keys; the key "" gives no prefix."""
    return Block(
        np.concatenate([block.values for block in blocks.values()], axis=1),
        [f"{key}: {name}" if key else name for key, block in blocks.items() for name in block.names],
        np.logical_or.reduce([block.known for block in blocks.values()]),
    )


def frequent_terms(terms: Terms, train: Mask, least: int, most: int) -> tuple[csr_matrix, list[str]]:
    """How often each item carries each frequent term, (I, T) sparse float32, and the T terms, most frequent first.

    Args:
        terms: pairs of item and term.
        train: (I,) bool, the items whose terms count.
        least: training items that a term needs.
        most: the largest T.
    """
    counts = csr_matrix(
        (np.ones(len(terms.item), np.float32), (terms.item, terms.code)), shape=(len(train), len(terms.vocabulary))
    )
    frequency = np.bincount(counts[train].indices, minlength=len(terms.vocabulary))
    found = [code for code in np.flatnonzero(frequency >= least).tolist() if terms.vocabulary[code]]
    chosen = sorted(found, key=lambda code: (-frequency[code], terms.vocabulary[code]))[:most]
    return counts[:, chosen], [terms.vocabulary[code] for code in chosen]


def multi_hot(terms: Terms | None, train: Mask, least: int, most: int) -> Block:
    """One column of 0 and 1 per term that at least `least` training items carry, the `most` most frequent of them."""
    if terms is None:
        return empty_block(len(train))
    _, names = frequent_terms(terms, train, least, most)
    values = carried(terms, names, len(train))
    return Block(values, names, not_all_zero(values))


def carried(terms: Terms | None, names: Sequence[str], items: int) -> Floats:
    """1 where an item carries a term, else 0: (I, T) for T terms by name."""
    values = np.zeros((items, len(names)), dtype=np.float32)
    if terms is not None:
        column = {name: place for place, name in enumerate(names)}
        place = np.array([column.get(term, -1) for term in terms.vocabulary], dtype=np.int64)[terms.code]
        values[terms.item[place >= 0], place[place >= 0]] = 1
    return values


def terms_block(
    name: str, columns: Mapping[str, str], *, least: int, most: int, weight: float, note: str
) -> FeatureBlock:
    """The kind of feature that has one column of 0 and 1 per term; arguments as of `columns_of_terms` and `FeatureBlock`."""
    build = partial(columns_of_terms, columns=columns, least=least, most=most)
    return FeatureBlock(name, build, partial(term_rows, columns=columns), weight, note)


def columns_of_terms(items: ItemColumns, columns: Mapping[str, str], least: int, most: int) -> Block:
    """The `multi_hot` blocks of some columns of `items.terms` as one block, (I, W).

    Args:
        items: the items.
        columns: by prefix of the names, the column; "" is no prefix.
        least: training items that a term needs.
        most: the largest number of terms of each column.
    """
    return as_one_block(
        {prefix: multi_hot(items.terms.get(name), items.train, least, most) for prefix, name in columns.items()}
    )


def term_rows(fit: Fit, items: ItemColumns, columns: Mapping[str, str]) -> Floats:
    """The rows (I, W) of further items in a block of `columns_of_terms`; terms without a column are left out."""
    parts = []
    for prefix, name in columns.items():
        start = f"{prefix}: " if prefix else ""
        own = [column.removeprefix(start) for column in fit.names if column.startswith(start)]
        parts.append(carried(items.terms.get(name), own, len(items.train)))
    return np.concatenate(parts, axis=1)


def scaling(
    columns: Mapping[str, NDArray[np.float64]], train: Mask, log_columns: Sequence[str] = ()
) -> dict[str, NDArray[np.float64]]:
    """The `mean` and `deviation` of C columns over the training items that are known, (C,) each.

    Args:
        columns: name → (I,) float64, NaN for unknown.
        train: (I,) bool, the items whose mean and deviation count.
        log_columns: names of counts and amounts, taken as log(1 + x).
    """
    mean, deviation = np.zeros((2, len(columns)))
    for place, (name, raw) in enumerate(columns.items()):
        values = np.log1p(raw) if name in log_columns else raw
        fit = values[np.isfinite(values) & train]
        if len(fit):
            mean[place], deviation[place] = fit.mean(), fit.std()
    return {"mean": mean, "deviation": deviation}


def standardised(columns: Mapping[str, NDArray[np.float64]], arrays: Arrays, log_columns: Sequence[str] = ()) -> Floats:
    """Columns less their mean and divided by their deviation, (I, C); unknown values and columns that do not vary become 0.

    Args:
        columns: name → (I,) float64, NaN for unknown; at least one.
        arrays: of `scaling`.
        log_columns: as of `scaling`.
    """
    scaled = np.zeros((len(next(iter(columns.values()))), len(columns)), dtype=np.float32)
    for place, (name, raw) in enumerate(columns.items()):
        values = np.log1p(raw) if name in log_columns else raw
        known = np.isfinite(values)
        mean, deviation = arrays["mean"][place], arrays["deviation"][place]
        if deviation > 0:
            scaled[known, place] = np.clip((values[known] - mean) / deviation, -LARGEST, LARGEST)
    return scaled


def with_missing_flags(
    columns: Mapping[str, NDArray[np.float64]], train: Mask, log_columns: Sequence[str] = ()
) -> Block:
    """Standardised columns, and for each a flag of unknown values, which the columns set to the mean; (I, 2 C).

    Columns of which no training item has a value are left out. Arguments as of `scaling`.
    """
    kept = {name: raw for name, raw in columns.items() if np.isfinite(raw[train]).any()}
    if not kept:
        return empty_block(len(train))
    arrays = scaling(kept, train, log_columns)
    values = flagged(kept, arrays, log_columns)
    known = np.asarray((values[:, len(kept) :] == 0).any(axis=1))
    return Block(values, [*kept, *(f"{name} unknown" for name in kept)], known, arrays)


def flagged(columns: Mapping[str, NDArray[np.float64]], arrays: Arrays, log_columns: Sequence[str] = ()) -> Floats:
    """The values (I, 2 C) of a block of `with_missing_flags`; arguments as of `standardised`."""
    missing = ~np.isfinite(np.stack(list(columns.values()), axis=1))
    return np.concatenate([standardised(columns, arrays, log_columns), missing.astype(np.float32)], axis=1)
