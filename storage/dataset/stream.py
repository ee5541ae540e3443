"""Read shuffled batches straight from a file, for datasets larger than memory: every transition once per epoch."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.dataset.compact_source import CompactSource, LoadedHistories
from storage.dataset.dense_source import DenseSource
from storage.dataset.gather import TransitionBatch, ring_of
from storage.errors import DatasetError

Source = CompactSource | DenseSource


class TransitionStream:
    """Batches of single steps of one source in shuffled order, seeded and resumable.

    Blocks are read in random order until a buffer holds about `buffer_rows` transitions. The buffer is shuffled while a
    thread reads the next one. Neighbours in the file are therefore apart in an epoch, memory holds two buffers, and the
    disk is read in long runs.
    """

    def __init__(self, source: Source, batch_size: int, seed: int = 0, buffer_rows: int | None = None) -> None:
        """Prepare to read.

        Args:
            source: what to read.
            batch_size: B; the last batch of an epoch may be smaller.
            seed: of the order.
            buffer_rows: transitions to mix at a time, at least one block; None: the source's `buffer_rows`.

        Raises:
            DatasetError: the source has no transitions.
        """
        if not len(source.rows):
            raise DatasetError(
                f"{source.path}: expected transitions of the split to stream; found none. Name another split."
            )
        self.source, self.batch_size, self.seed = source, batch_size, seed
        self.buffer_rows = source.buffer_rows if buffer_rows is None else buffer_rows
        self.epoch = 0
        self.seen = 0  # transitions of this epoch that were returned
        self._ring = ring_of(2, batch_size, source.frame, source.dim, source.dtype)

    def __len__(self) -> int:
        """Transitions of an epoch."""
        return int(self.source.rows.sum())

    def __iter__(self) -> Iterator[TransitionBatch]:
        """The remaining batches of this epoch, on the CPU; the next call begins the next epoch.

        Raises:
            DatasetError: a checksum does not match.
        """
        out, filled = next(self._ring), 0
        for buffer, rows in self._buffers():
            done = 0
            while done < len(rows):
                count = min(self.batch_size - filled, len(rows) - done)
                buffer.fill(rows[done : done + count], out.rows(filled, filled + count))
                filled += count
                done += count
                if filled == self.batch_size:
                    self.seen += filled
                    yield out
                    out, filled = next(self._ring), 0
        self.epoch, self.seen = self.epoch + 1, 0
        if filled:
            yield out.rows(0, filled)

    def state_dict(self) -> dict[str, Any]:
        """The place in the epochs: continue from it with `load_state_dict`."""
        return {"epoch": self.epoch, "seen": self.seen, "seed": self.seed, "buffer_rows": self.buffer_rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()` with the next `iter`."""
        self.epoch, self.seen = state["epoch"], state["seen"]
        self.seed, self.buffer_rows = state["seed"], state["buffer_rows"]

    def _groups(self) -> list[NDArray[np.int64]]:
        """The blocks of each buffer of this epoch."""
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.source.rows))
        number = np.cumsum(self.source.rows[order]) - self.source.rows[order]
        return np.split(order, np.flatnonzero(np.diff(number // self.buffer_rows)) + 1)

    def _buffers(self) -> Iterator[tuple[LoadedHistories, Tensor]]:
        """This epoch's buffers, and the shuffled rows of each that were not returned yet."""
        skip, waiting = self.seen, []
        for place, group in enumerate(self._groups()):
            count = int(self.source.rows[group].sum())
            if skip < count:
                waiting.append((place, group, skip))
            skip = max(0, skip - count)
        epoch = self.epoch
        with ThreadPoolExecutor(1, thread_name_prefix="transition-stream") as thread:
            coming = thread.submit(self._load, epoch, *waiting[0]) if waiting else None
            for following in [*waiting[1:], None]:
                if coming is None:
                    return
                ready = coming.result()
                coming = thread.submit(self._load, epoch, *following) if following else None
                yield ready
                del ready

    def _load(self, epoch: int, place: int, group: NDArray[np.int64], skip: int) -> tuple[LoadedHistories, Tensor]:
        buffer = self.source.load(group)
        rows = buffer.rows.numpy()
        np.random.default_rng((self.seed, epoch, place)).shuffle(rows)
        return buffer, torch.from_numpy(rows[skip:])
