"""Read a compact file in blocks of whole histories, as a source of `TransitionStream`."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.dataset.format import Split, opened
from storage.dataset.gather import Compact, TransitionBatch, gather
from storage.dataset.head import Head, timely_events
from storage.dataset.histories import rows_of

BLOCK_EVENTS = 1 << 16
BUFFER_ROWS = 1 << 20


class LoadedHistories(NamedTuple):
    """Some blocks in memory."""

    compact: Compact
    frame: int
    rows: Tensor  # (T,) int64, the starts of their transitions among the loaded events, in the file's order
    last_of_run: Tensor  # (T,) bool, the last transition that the split has of its user

    def fill(self, rows: Tensor, out: TransitionBatch) -> None:
        """Gather some of `rows` into `out`."""
        gather(self.compact, self.frame, rows, out)


class CompactSource:
    """The transitions of one split of a compact file, in blocks of whole users.

    HDF5 compares the checksum of each chunk that it reads.

    Attributes:
        head: all of the file but its events.
        frame, dim, dtype: F, D and the dtype of batches.
        buffer_rows: transitions that a stream mixes at a time, unless told otherwise.
        rows: (P,) int64, transitions of each block; blocks without transitions are left out.
    """

    def __init__(self, path: Path, split: Split, dtype: torch.dtype = torch.float32) -> None:
        """Read the head of the file.

        Raises:
            DatasetError: the file is missing, damaged, of another format or layout.
        """
        with opened(path, "compact") as file:
            self.head = Head.read(file)
            timely = timely_events(file, self.head)
        self.path, self.dtype, self.buffer_rows = path, dtype, BUFFER_ROWS
        self.frame, self.dim = self.head.frame, self.head.embedding.shape[1]
        self._first, self._number = self.head.runs(split, timely)
        self._embedding = torch.from_numpy(self.head.embedding).to(dtype)
        self._reward_of_code = torch.from_numpy(self.head.reward_of_code()).to(dtype)
        # A block ends with the user whose events fill it.
        block = (self.head.offset[1:] - 1) // BLOCK_EVENTS
        users = np.flatnonzero(np.diff(block, prepend=-1)).astype(np.int64)
        bounds = np.append(users, len(block))
        rows = np.diff(np.concatenate(([0], np.cumsum(self._number)))[bounds])
        self._begin, self._end = bounds[:-1][rows > 0], bounds[1:][rows > 0]
        self.rows: NDArray[np.int64] = rows[rows > 0]

    def load(self, blocks: Sequence[int] | NDArray[np.int64]) -> LoadedHistories:
        """Read blocks, one after another.

        Raises:
            DatasetError: a checksum does not match, or the file is gone.
        """
        offset = self.head.offset
        begin, end = self._begin[blocks], self._end[blocks]
        events = offset[end] - offset[begin]
        item = np.empty(events.sum(), dtype=np.int32)
        code = np.empty(events.sum(), dtype=np.uint8)
        offsets, firsts, numbers, place = [np.zeros(1, dtype=np.int64)], [], [], 0
        with opened(self.path, "compact") as file:
            for first, last in zip(begin.tolist(), end.tolist(), strict=True):
                source = slice(int(offset[first]), int(offset[last]))
                into = slice(place, place + source.stop - source.start)
                item[into] = file["events/item"][source]
                code[into] = file["events/rating"][source]
                offsets.append(offset[first + 1 : last + 1] - source.start + place)
                firsts.append(self._first[first:last] - source.start + place)
                numbers.append(self._number[first:last])
                place = into.stop
        self.head.need_valid("events/item", item)
        self.head.need_valid("events/rating", code)
        number = np.concatenate(numbers)
        last_of_run = np.zeros(int(number.sum()), dtype=bool)
        last_of_run[np.cumsum(number)[number > 0] - 1] = True
        compact = Compact(
            torch.from_numpy(item),
            torch.from_numpy(code),
            torch.from_numpy(np.concatenate(offsets)),
            self._embedding,
            self._reward_of_code,
        )
        rows = torch.from_numpy(rows_of(np.concatenate(firsts), number))
        return LoadedHistories(compact, self.frame, rows, torch.from_numpy(last_of_run))
