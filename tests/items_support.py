"""Small items for tests of feature blocks."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.encoders.columns import NO_EVENTS, Genome, ItemColumns, Terms, TrainingEvents


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
    events: TrainingEvents = NO_EVENTS,
    genome: Genome | None = None,
) -> ItemColumns:
    """Items of which only what is given is known."""
    return ItemColumns(
        train=np.array(train, dtype=bool),
        events=events,
        text_vectors=np.zeros((len(train), 4), np.float32) if text_vectors is None else text_vectors,
        texts=texts,
        terms={name: terms_of(lists) for name, lists in (terms or {}).items()},
        numbers={name: np.array(values, dtype=np.float64) for name, values in (numbers or {}).items()},
        genome=genome,
    )
