"""What feature blocks share: their type, one column per term, standardised numbers. All is fit on training items only."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.encoders.columns import ItemColumns, Terms

Mask = NDArray[np.bool_]
LARGEST = 5.0  # standard deviations; larger values are clipped


class Block(NamedTuple):
    """One block of features of I items, W columns wide."""

    values: NDArray[np.float32]  # (I, W)
    names: list[str]  # W names of columns
    known: Mask  # (I,) whether the block has data of the item


class FeatureBlock(NamedTuple):
    """A kind of feature: how a block is built, and how much it counts.

    Attributes:
        name: of the parameter `features.weights.<name>` and in reports.
        build: a pure function of `ItemColumns`. Its usual keyword arguments are `least`, the training items that a term
            needs, and `most`, the number of terms.
        weight: default standard deviation of the whole block before the reduction; 0 leaves it out.
        note: one sentence for the parameter's description and the feature report.
        named: whether column names mean something to a reader; those of encoder dimensions do not.
    """

    name: str
    build: Callable[..., Block]
    weight: float
    note: str
    named: bool = True


def empty_block(items: int) -> Block:
    """A block without columns, for a source without such data."""
    return Block(np.zeros((items, 0), dtype=np.float32), [], np.zeros(items, dtype=bool))


def not_all_zero(values: NDArray[np.float32]) -> Mask:
    """Whether each row has a value other than 0, (I,) bool."""
    return np.asarray(values.any(axis=1))


def side_by_side(blocks: Mapping[str, Block]) -> Block:
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
    counts, names = frequent_terms(terms, train, least, most)
    values = np.minimum(counts.toarray(), 1.0, dtype=np.float32)
    return Block(values, names, not_all_zero(values))


def columns_of_terms(items: ItemColumns, columns: Mapping[str, str], least: int, most: int) -> Block:
    """The `multi_hot` blocks of some columns of `items.terms` as one block, (I, W).

    Args:
        items: the items.
        columns: by prefix of the names, the column; "" is no prefix.
        least: training items that a term needs.
        most: the largest number of terms of each column.
    """
    return side_by_side(
        {prefix: multi_hot(items.terms.get(name), items.train, least, most) for prefix, name in columns.items()}
    )


def standardised(
    columns: Mapping[str, NDArray[np.float64]], train: Mask, log_columns: Sequence[str] = ()
) -> NDArray[np.float32]:
    """Columns with mean 0 and deviation 1 over the training items, (I, C) float32; unknown (NaN) becomes the mean.

    Args:
        columns: name → (I,) float64.
        train: (I,) bool, the items whose mean and deviation count.
        log_columns: names of counts and amounts, taken as log(1 + x).
    """
    scaled = np.zeros((len(train), len(columns)), dtype=np.float32)
    for place, (name, raw) in enumerate(columns.items()):
        values = np.log1p(raw) if name in log_columns else raw
        known = np.isfinite(values)
        fit = values[known & train]
        if len(fit) and fit.std() > 0:
            scaled[known, place] = np.clip((values[known] - fit.mean()) / fit.std(), -LARGEST, LARGEST)
    return scaled


def with_missing_flags(
    columns: Mapping[str, NDArray[np.float64]], train: Mask, log_columns: Sequence[str] = ()
) -> Block:
    """Standardised columns, and for each a flag of unknown values, which the columns set to the mean; (I, 2 C).

    Columns of which no training item has a value are left out. Arguments as of `standardised`.
    """
    kept = {name: raw for name, raw in columns.items() if np.isfinite(raw[train]).any()}
    if not kept:
        return empty_block(len(train))
    missing = ~np.isfinite(np.stack(list(kept.values()), axis=1))
    return Block(
        np.concatenate([standardised(kept, train, log_columns), missing.astype(np.float32)], axis=1),
        [*kept, *(f"{name} unknown" for name in kept)],
        np.asarray(~missing.all(axis=1)),
    )
