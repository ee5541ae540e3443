"""Encode texts in partitions; an exchange keeps finished partitions if the run is killed."""

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.encoders.text import Precision, TextEncoder, item_text
from models.encoders.text_encoders import find_encoder
from storage.artifacts.exchange import Exchange
from tasks.dask_cluster import Submit

logger = logging.getLogger("marquee.texts")
_LOADING = threading.Lock()


@dataclass(frozen=True)
class EncoderSpec:
    """The encoder and its parameters, as they are sent to a worker."""

    name: str
    max_tokens: int = 128
    precision: Precision = "float32"
    identity: str = ""  # of its weights and code; part of each partition's name


class Encoded(NamedTuple):
    """Vectors, (N, width) float32, and the numbers of distinct texts that were encoded now and before."""

    vectors: NDArray[np.float32]
    encoded: int
    resumed: int


@lru_cache(maxsize=1)
def _load(spec: EncoderSpec) -> TextEncoder:
    return find_encoder(spec.name).load(spec.max_tokens, spec.precision)


def loaded_encoder(spec: EncoderSpec) -> TextEncoder:
    """The encoder of this process, loaded once."""
    with _LOADING:
        return _load(spec)


def unload_encoder() -> None:
    """Free the encoder of this process."""
    _load.cache_clear()


def encode_partition(texts: list[str], spec: EncoderSpec) -> NDArray[np.float32]:
    """The vectors of one partition's texts, (P, width) float32."""
    return loaded_encoder(spec).encode(texts)


def encode_on_exchange(name: str, spec: EncoderSpec, url: str) -> None:
    """Read a partition's texts from the exchange and write its vectors there; it may run twice.

    Raises:
        ExchangeError: this process does not see what the client wrote.
    """
    exchange = Exchange(url)
    exchange.write_array(f"{name}.npy", encode_partition(json.loads(exchange.need(f"{name}.json")), spec))


def read_vectors(exchange: Exchange, name: str, rows: int) -> NDArray[np.float32] | None:
    """A partition's vectors, (rows, width) float32, or None if they are missing, damaged or of another shape."""
    vectors = exchange.read_array(f"{name}.npy")
    fits = vectors is not None and vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == rows
    return vectors if fits else None


def partition_name(texts: Sequence[str], spec: EncoderSpec) -> str:
    """A hash of everything that determines a partition's vectors."""
    made_of = [spec.identity, spec.name, spec.max_tokens, spec.precision, list(texts)]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]


def item_texts(movies: pa.Table) -> list[str]:
    """The text of every movie, in the table's order."""
    columns = ("title", "year", "genres", "tagline", "overview")
    return [item_text(**row) for row in movies.select(columns).to_pylist()]


def encode_texts(
    texts: Sequence[str],
    spec: EncoderSpec,
    submit: Submit,
    exchange: Exchange,
    partition_rows: int = 512,
    progress: Callable[[int, int], None] | None = None,
) -> Encoded:
    """Encode texts in partitions.

    Equal texts are encoded once. Partitions that the exchange already holds are not encoded again.

    Args:
        texts: (N,), N ≥ 1.
        spec: the encoder.
        submit: has a partition encoded; see `tasks.dask_cluster.workers`.
        exchange: through which texts and vectors pass; keeps finished partitions, for this run or the next one.
        partition_rows: texts of one partition.
        progress: called with the numbers of finished and of all distinct texts after each partition.

    Returns:
        The vectors in the order of `texts`.

    Raises:
        ExchangeError: the exchange cannot be used, or the workers see another one.
    """
    unique = sorted(set(texts), key=lambda text: (len(text), text))  # texts of a partition have similar lengths
    parts = [unique[first : first + partition_rows] for first in range(0, len(unique), partition_rows)]
    names = [partition_name(part, spec) for part in parts]
    results: dict[int, NDArray[np.float32]] = {}
    for place, (name, part) in enumerate(zip(names, parts, strict=True)):
        if (found := read_vectors(exchange, name, len(part))) is not None:
            results[place] = found
    resumed = sum(len(parts[place]) for place in results)
    futures: dict[int, Any] = {}
    # Long texts first, so that the last tasks are short.
    for place in reversed([place for place in range(len(parts)) if place not in results]):
        exchange.write(f"{names[place]}.json", json.dumps(parts[place]).encode())
        futures[place] = submit(encode_on_exchange, names[place], spec, exchange.url)
    for place, future in futures.items():
        future.result()
        results[place] = exchange.need_array(f"{names[place]}.npy")
        if progress is not None:
            progress(sum(len(parts[done]) for done in results), len(unique))
    row = {text: place for place, text in enumerate(unique)}
    joined = np.concatenate([results[place] for place in range(len(parts))])
    return Encoded(joined[[row[text] for text in texts]], len(unique) - resumed, resumed)
