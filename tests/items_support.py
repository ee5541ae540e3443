"""Small items for tests of feature blocks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.encoders.blocks import BLOCKS
from models.encoders.columns import Genome, ItemColumns, Terms, TrainingEvents
from models.encoders.tabular import FeatureBlock, Fit


def events_of(rows: Sequence[tuple[int, int, float, int]]) -> TrainingEvents:
    """Training events from (user, item, rating, timestamp)."""
    user, item, rating, timestamp = zip(*rows, strict=True)
    return TrainingEvents(
        np.array(user, np.int32), np.array(item, np.int32), np.array(rating, np.float32), np.array(timestamp, np.int64)
    )


def terms_of(lists: Sequence[Sequence[str]]) -> Terms:
    """The pairs of a list of terms per item."""
    vocabulary = sorted({term for terms in lists for term in terms})
    pairs = [(item, vocabulary.index(term)) for item, terms in enumerate(lists) for term in terms]
    item, code = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Terms(item, code, vocabulary)


def items_of(
    train: Sequence[bool],
    terms: Mapping[str, Sequence[Sequence[str]]] | None = None,
    numbers: Mapping[str, Sequence[float]] | None = None,
    texts: Sequence[str] = (),
    text_vectors: NDArray[np.float32] | None = None,
    events: TrainingEvents | None = None,
    genome: Genome | None = None,
) -> ItemColumns:
    """Items of which only what is given is known."""
    kinds = {name: block.of_events for name, block in BLOCKS.items() if block.of_events is not None}
    of_events = {name: kind(events, len(train)) for name, kind in kinds.items()} if events is not None else {}
    return ItemColumns(
        train=np.array(train, dtype=bool),
        text_vectors=np.zeros((len(train), 4), np.float32) if text_vectors is None else text_vectors,
        texts=texts,
        terms={name: terms_of(lists) for name, lists in (terms or {}).items()},
        numbers={name: np.array(values, dtype=np.float64) for name, values in (numbers or {}).items()},
        genome=genome,
        of_events=of_events,
    )


class Built(NamedTuple):
    """A block that was fitted on some items, and their rows."""

    fit: Fit
    values: NDArray[np.float32]
    known: NDArray[np.bool_]

    @property
    def names(self) -> list[str]:
        """Of its columns."""
        return self.fit.names


def built(block: FeatureBlock, items: ItemColumns, **given: Any) -> Built:
    """Fit a block on items and apply it to them; `given` changes the arguments of `finish`."""
    fit = block.finish(block.collect(items), **given)
    values, known = (
        block.apply(fit, items) if fit.names else (np.zeros((len(items.train), 0), np.float32), items.train & False)
    )
    return Built(fit, values, known)


class Done(NamedTuple):
    """A future that is done."""

    value: Any

    def result(self) -> Any:
        """What the function returned."""
        return self.value


def at_once(function: Callable[..., Any], *arguments: Any) -> Done:
    """Run a function in this thread."""
    return Done(function(*(one.value if isinstance(one, Done) else one for one in arguments)))


def part_of(items: ItemColumns, rows: slice) -> ItemColumns:
    """Some of the items."""

    def terms_in(terms: Terms) -> Terms:
        own = (terms.item >= rows.start) & (terms.item < rows.stop)
        return Terms(terms.item[own] - rows.start, terms.code[own], terms.vocabulary)

    genome = items.genome
    return ItemColumns(
        train=items.train[rows],
        text_vectors=items.text_vectors[rows],
        texts=items.texts[rows],
        terms={name: terms_in(terms) for name, terms in items.terms.items()},
        numbers={name: values[rows] for name, values in items.numbers.items()},
        genome=Genome(genome.relevance[rows], genome.known[rows], genome.tags) if genome is not None else None,
        of_events={name: values[rows] for name, values in items.of_events.items()},
    )
