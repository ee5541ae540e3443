"""The input of the feature blocks: arrays over I items, independent of tables and files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Terms:
    """Which item carries which term, as pairs; a pair may repeat (a tag given by several users)."""

    item: NDArray[np.int64]  # (n,) item index
    code: NDArray[np.int64]  # (n,) position in `vocabulary`
    vocabulary: Sequence[str]


@dataclass(frozen=True)
class Genome:
    """The tag genome: how well each of T tags fits an item, 0 … 1."""

    relevance: NDArray[np.float32]  # (I, T), zeros where unknown
    known: NDArray[np.bool_]  # (I,)
    tags: Sequence[str]  # T


@dataclass(frozen=True)
class TrainingEvents:
    """The training events: those that are not held out."""

    user: NDArray[np.int32]  # (N,) 0-based
    item: NDArray[np.int32]  # (N,) item index
    rating: NDArray[np.float32]  # (N,)
    timestamp: NDArray[np.int64]  # (N,) unix seconds


@dataclass(frozen=True)
class ItemColumns:
    """The data of I items, which may be a part of all items; columns that a source does not have are left out."""

    train: NDArray[np.bool_]  # (I,) whether the item has training events: vocabularies, means, scales come from these
    text_vectors: NDArray[np.float32]  # (I, E) of the text encoder, zeros for an empty text
    texts: Sequence[str] = ()  # I of them
    terms: Mapping[str, Terms] = field(default_factory=dict)  # by column: genres, cast, tags …
    numbers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)  # by column: (I,), NaN for unknown
    genome: Genome | None = None
    of_events: Mapping[str, NDArray[Any]] = field(
        default_factory=dict
    )  # by block: (I, C), see `FeatureBlock.of_events`
