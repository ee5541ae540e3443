"""Encode texts in partitions on Dask workers; an exchange keeps finished partitions if the run is killed."""

import ctypes
import hashlib
import io
import json
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from distributed import Client, as_completed
from numpy.typing import NDArray

from models.encoders.text import Precision, TextEncoder, item_text
from models.encoders.text_encoders import find_encoder
from storage.artifacts.exchange import Exchange, ExchangeError

logger = logging.getLogger("marquee.texts")
_LOADING = threading.Lock()
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's names and numbers, malloc.h


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
    torch.set_num_threads(1)  # Dask runs one task per core
    keep_freed_memory()
    return find_encoder(spec.name).load(spec.max_tokens, spec.precision)


def keep_freed_memory() -> None:
    """Let this process reuse freed memory (glibc only; without effect elsewhere).

    Dask makes its workers return freed memory to the system at once. Encoding allocates and frees activations of a few
    MB all the time. Getting these pages from the system again took as long as the encoding itself.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 32 << 20)
        mallopt(M_TRIM_THRESHOLD, 256 << 20)


def worker_encoder(spec: EncoderSpec) -> TextEncoder:
    """The encoder of this worker process, loaded once."""
    with _LOADING:
        return _load(spec)


def encode_partition(texts: list[str], spec: EncoderSpec) -> NDArray[np.float32]:
    """The vectors of one partition's texts, (P, width) float32; it runs on a worker, and may run twice."""
    return worker_encoder(spec).encode(texts)


def encode_on_exchange(name: str, spec: EncoderSpec, url: str) -> None:
    """Read a partition's texts from the exchange and write its vectors there.

    It runs on a worker, and may run twice.

    Raises:
        ExchangeError: this worker does not see what the client wrote.
    """
    exchange = Exchange(url)
    blob = exchange.read(f"{name}.json")
    if blob is None:
        raise ExchangeError(
            f"{url}: expected the texts of partition {name}; this worker finds none. "
            "The exchange must be a folder or bucket that the client and all workers share."
        )
    write_vectors(exchange, name, encode_partition(json.loads(blob), spec))


def write_vectors(exchange: Exchange, name: str, vectors: NDArray[np.float32]) -> None:
    """Write a partition's vectors to the exchange as .npy."""
    stream = io.BytesIO()
    np.save(stream, vectors, allow_pickle=False)
    exchange.write(f"{name}.npy", stream.getvalue())


def read_vectors(exchange: Exchange, name: str, rows: int) -> NDArray[np.float32] | None:
    """A partition's vectors, (rows, width) float32, or None if they are missing, damaged or of another shape."""
    blob = exchange.read(f"{name}.npy")
    if blob is None:
        return None
    vectors = np.load(io.BytesIO(blob), allow_pickle=False)
    return vectors if vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == rows else None


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
    client: Client,
    exchange: Exchange,
    shared: bool = True,
    partition_rows: int = 512,
    progress: Callable[[int, int], None] | None = None,
) -> Encoded:
    """Encode texts on the client's workers.

    Equal texts are encoded once. Partitions that the exchange already holds are not encoded again.

    Args:
        texts: (N,), N ≥ 1.
        spec: the encoder.
        client: connected to the Dask cluster.
        exchange: keeps finished partitions, for this run or the next one.
        shared: whether workers can reach the exchange; if not, texts and vectors pass through the scheduler.
        partition_rows: texts in one Dask task.
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
    futures = {}
    # Long texts first, so that the last tasks are short.
    for place in reversed([place for place in range(len(parts)) if place not in results]):
        if shared:
            exchange.write(f"{names[place]}.json", json.dumps(parts[place]).encode())
            work = client.submit(encode_on_exchange, names[place], spec, exchange.url, pure=False, retries=2)
        else:
            work = client.submit(encode_partition, parts[place], spec, pure=False, retries=2)
        futures[work] = place
    for future in as_completed(futures):
        place = futures[future]
        vectors = future.result()
        if not shared:
            write_vectors(exchange, names[place], vectors)
        else:
            vectors = read_vectors(exchange, names[place], len(parts[place]))
        if vectors is None:
            raise ExchangeError(
                f"{exchange.url}: expected the vectors of partition {names[place]}, which a worker has written; found "
                "none. The exchange must be a folder or bucket that the client and all workers share."
            )
        results[place] = vectors
        if progress is not None:
            progress(sum(len(parts[done]) for done in results), len(unique))
    row = {text: place for place, text in enumerate(unique)}
    joined = np.concatenate([results[place] for place in range(len(parts))])
    return Encoded(joined[[row[text] for text in texts]], len(unique) - resumed, resumed)
