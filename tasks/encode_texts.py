"""Texts to vectors in partitions on Dask workers."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import torch
from distributed import Client, as_completed
from numpy.typing import NDArray

from models.encoders.text import TextEncoder, item_text


@lru_cache(maxsize=1)
def worker_encoder(name: str, max_tokens: int) -> TextEncoder:
    """The encoder of this worker process, loaded once; one thread, since every core has its worker."""
    torch.set_num_threads(1)
    return TextEncoder.load(name, max_tokens)


def encode_partition(texts: list[str], name: str, max_tokens: int) -> NDArray[np.float32]:
    """Vectors of one partition, (P, width) float32; runs on a worker and may run twice."""
    return worker_encoder(name, max_tokens).encode(texts)


def item_texts(movies: pa.Table) -> list[str]:
    """The text of every movie, in the table's order."""
    columns = ("title", "year", "genres", "tagline", "overview")
    return [item_text(**row) for row in movies.select(columns).to_pylist()]


def encode_texts(
    texts: Sequence[str],
    encoder: str,
    max_tokens: int,
    client: Client,
    partition_rows: int = 512,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Encode texts by `TextEncoder` on the client's workers; equal texts are encoded once.

    Args:
        texts: N of them.
        encoder: name for `TextEncoder.load`.
        max_tokens: tokens that are read of each.
        client: of the cluster that does the work.
        partition_rows: texts in one Dask task.
        progress: told (done, total) texts after each partition.

    Returns: (N, width) float32.
    """
    unique = sorted(set(texts), key=lambda text: (len(text), text))
    parts = [unique[first : first + partition_rows] for first in range(0, len(unique), partition_rows)]
    # Long texts first: the last partitions to finish are then the short ones.
    futures = {
        client.submit(encode_partition, part, encoder, max_tokens, pure=False, retries=2): place
        for place, part in reversed(list(enumerate(parts)))
    }
    results: dict[int, NDArray[np.float32]] = {}
    for future in as_completed(futures):
        place = futures[future]
        results[place] = future.result()
        if progress is not None:
            progress(sum(len(parts[done]) for done in results), len(unique))
    row = {text: place for place, text in enumerate(unique)}
    vectors = np.concatenate([results[place] for place in range(len(parts))])
    return vectors[[row[text] for text in texts]]
