"""Fit and embed items in two passes over partitions: what a pass finds in each partition adds up to what it is of all items.

The functions are the same on one process and on many. Partitions are added in a tree that depends on their number alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models.encoders.blocks import BLOCKS
from models.encoders.columns import ItemColumns
from models.encoders.reduce import Kept, Reducer, Reduction, fit_reducer, measure_kept
from models.encoders.sums import Counts, Products, Sums
from models.encoders.tabular import Fit, Floats

Submit = Callable[..., Any]  # of a function and its arguments, which may be futures; gives a future


class Partition(Protocol):
    """Some thousand items, and a place for arrays about them; workers see the same."""

    def items(self) -> ItemColumns:
        """Read the items."""

    def write(self, name: str, array: NDArray[Any]) -> None:
        """Keep an array."""

    def read(self, name: str) -> NDArray[Any]:
        """An array that was kept."""


class MemoryPartition:
    """A partition in the memory of this process.

    Args:
        items: its items.
        arrays: what is kept already.
    """

    def __init__(self, items: ItemColumns, **arrays: NDArray[Any]) -> None:
        self._items, self._arrays = items, arrays

    def items(self) -> ItemColumns:
        """The items."""
        return self._items

    def write(self, name: str, array: NDArray[Any]) -> None:
        """Keep an array."""
        self._arrays[name] = array

    def read(self, name: str) -> NDArray[Any]:
        """An array that was kept."""
        return self._arrays[name]


class Embedded(NamedTuple):
    """What was fitted, by block where it has columns. The partitions keep the embeddings (I, D), as `embedding`."""

    fits: dict[str, Fit]
    reducer: Reducer
    known: dict[str, int]  # by block, the number of items that it has data of
    kept: Kept


def embed_partitions(
    submit: Submit,
    partitions: Sequence[Partition],
    weights: Mapping[str, float],
    dim: int,
    reduction: Reduction = "pca",
    seed: int = 0,
) -> Embedded:
    """Fit the blocks and the reduction on the training items of all partitions, and write every item's embedding.

    Args:
        submit: has a function run, here or on a worker.
        partitions: of the items, in their order.
        weights: by block; 0 leaves it out.
        dim: D.
        reduction: see `fit_reducer`.
        seed: see `fit_reducer`.

    Raises:
        EncoderError: see `fit_reducer`.
    """
    names = [name for name in BLOCKS if weights[name] > 0]
    sums = total(submit, collect, partitions, names)
    fits = {name: BLOCKS[name].finish(sums[name]) for name in names}
    fits = {name: fit for name, fit in fits.items() if fit.names}
    applied = total(submit, apply, partitions, fits)
    # Without the factor, a block that knows few items would outweigh the others for these items.
    share = {name: applied["known_in_training"][name] / max(applied["columns"].count, 1) for name in fits}
    deviations = {name: weights[name] * float(np.sqrt(share[name])) for name in fits}
    reducer, kept = reduce(
        submit, partitions, applied["columns"], {name: len(fit.names) for name, fit in fits.items()},
        deviations, dim, reduction, seed,
    )  # fmt: skip
    return Embedded(fits, reducer, dict(applied["known"]), kept)


def reduce(
    submit: Submit,
    partitions: Sequence[Partition],
    columns: Products,
    widths: Mapping[str, int],
    deviations: Mapping[str, float],
    dim: int,
    reduction: Reduction = "pca",
    seed: int = 0,
) -> tuple[Reducer, Kept]:
    """Fit the reduction and write every item's embedding; arguments as of `fit_reducer` and `embed_partitions`."""

    def training_rows() -> Floats:
        return np.concatenate([part.read("columns")[part.read("train")] for part in partitions])

    reducer = fit_reducer(columns, widths, deviations, dim, reduction, seed, training_rows)
    sums = total(submit, embed, partitions, reducer)
    return reducer, measure_kept(widths, reducer, columns, sums["cross"], sums["spread"])


def collect(partition: Partition, names: Sequence[str]) -> Sums:
    """What blocks are fitted from, by block."""
    items = partition.items()
    return Sums({name: BLOCKS[name].collect(items) for name in names})


def apply(partition: Partition, fits: Mapping[str, Fit]) -> Sums:
    """Write the columns of all blocks side by side, (P, W), and which items are in training.

    Returns: the products of the training items' columns, and the numbers of items and training items that each block knows.
    """
    items = partition.items()
    blocks = {name: BLOCKS[name].apply(fit, items) for name, fit in fits.items()}
    columns = np.concatenate(
        [np.zeros((len(items.train), 0), np.float32), *(block.values for block in blocks.values())], axis=1
    )
    partition.write("columns", columns)
    partition.write("train", items.train)
    training = columns[items.train]
    return Sums(
        columns=Products.of(training, training),
        known=Counts({name: int(block.known.sum()) for name, block in blocks.items()}),
        known_in_training=Counts({name: int(block.known[items.train].sum()) for name, block in blocks.items()}),
    )


def embed(partition: Partition, reducer: Reducer) -> Sums:
    """Write the embeddings of the items, (P, D); returns the training items' products with their columns and themselves."""
    scaled = reducer.scaled(partition.read("columns"))
    embedding = reducer.reduced(scaled)
    partition.write("embedding", embedding)
    train = partition.read("train")
    seen = embedding[train]
    return Sums(cross=Products.of(scaled[train], seen), spread=Products.of(seen, seen))


def total(submit: Submit, work: Callable[..., Any], partitions: Sequence[Partition], given: object) -> Any:
    """The sum of what a function finds in each partition.

    Args:
        submit: has a function run.
        work: called with a partition and `given`.
        partitions: at least one.
        given: what all calls share; it is sent once to each worker.
    """
    shared = submit(unchanged, given)
    waiting: list[Any] = []
    for place, partition in enumerate(partitions, 1):
        waiting.append(submit(work, partition, shared))
        while place % 2 == 0:
            place //= 2  # noqa: PLW2901
            last = waiting.pop()
            waiting.append(submit(added, waiting.pop(), last))
    while len(waiting) > 1:
        last = waiting.pop()
        waiting.append(submit(added, waiting.pop(), last))
    return waiting[0].result()


def unchanged(given: object) -> object:
    """What was given."""
    return given


def added(one: Any, other: Any) -> Any:
    """The sum of what was found in two parts."""
    return one + other
