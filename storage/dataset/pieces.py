"""A compact dataset read in pieces of whole histories: contiguous reads, checksums compared, memory bounded."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.dataset.format import Head, Split, need_within, opened, timely_events
from storage.dataset.gather import Compact, Gathered, gather
from storage.dataset.histories import rows_of

PIECE_EVENTS = 1 << 16


class Loaded(NamedTuple):
    """Some pieces in memory."""

    compact: Compact
    frame: int
    rows: Tensor  # (T,) int64, the starts of their transitions among the loaded events, in the file's order
    last_of_run: Tensor  # (T,) bool, the last transition that the split has of its user

    def fill(self, rows: Tensor, out: Gathered) -> None:
        """Gather some of `rows`."""
        gather(self.compact, self.frame, rows, out)


class CompactPieces:
    """The transitions of one split of a compact file, in pieces of whole users.

    Attributes:
        head: all of the file but its events.
        frame, dim, dtype: F, D and that of batches.
        rows: (P,) int64, transitions of each piece, none of them 0; pieces without any are left out.
    """

    def __init__(self, path: Path, split: Split, dtype: torch.dtype = torch.float32) -> None:
        with opened(path, "compact") as file:
            self.head = Head.read(file)
            timely = timely_events(file, self.head)
        self.path, self.dtype = path, dtype
        self.frame, self.dim = self.head.frame, self.head.embedding.shape[1]
        self._first, self._number = self.head.runs(split, timely)
        self._embedding = torch.from_numpy(self.head.embedding).to(dtype)
        self._reward_of_code = torch.from_numpy(self.head.reward_of_code()).to(dtype)
        self._flags = torch.tensor([0, 1], dtype=dtype)
        # A piece ends with the user that fills it.
        piece = (self.head.offset[1:] - 1) // PIECE_EVENTS
        users = np.flatnonzero(np.diff(piece, prepend=-1)).astype(np.int64)
        bounds = np.append(users, len(piece))
        rows = np.diff(np.concatenate(([0], np.cumsum(self._number)))[bounds])
        self._begin, self._end = bounds[:-1][rows > 0], bounds[1:][rows > 0]
        self.rows: NDArray[np.int64] = rows[rows > 0]

    def load(self, pieces: Sequence[int] | NDArray[np.int64]) -> Loaded:
        """Read pieces, one after another.

        Raises:
            DatasetError: a checksum does not match, or the file is gone.
        """
        offset = self.head.offset
        begin, end = self._begin[pieces], self._end[pieces]
        events = offset[end] - offset[begin]
        item = np.empty(events.sum(), dtype=np.int32)
        code = np.empty(events.sum(), dtype=np.uint8)
        offsets, firsts, numbers, place = [np.zeros(1, dtype=np.int64)], [], [], 0
        with opened(self.path, "compact") as file:
            for first, last in zip(begin.tolist(), end.tolist(), strict=True):
                source = slice(int(offset[first]), int(offset[last]))
                into = slice(place, place + source.stop - source.start)
                item[into] = _read(file["events/item"], source)
                code[into] = _read(file["events/rating"], source)
                offsets.append(offset[first + 1 : last + 1] - source.start + place)
                firsts.append(self._first[first:last] - source.start + place)
                numbers.append(self._number[first:last])
                place = into.stop
        need_within(self.path, "events/item", item, len(self.head.movie_ids) - 1)
        need_within(self.path, "events/rating", code, self.head.scale.codes)
        number = np.concatenate(numbers)
        last_of_run = np.zeros(int(number.sum()), dtype=bool)
        last_of_run[np.cumsum(number)[number > 0] - 1] = True
        compact = Compact(
            torch.from_numpy(item),
            torch.from_numpy(code),
            torch.from_numpy(np.concatenate(offsets)),
            self._embedding,
            self._reward_of_code,
            self._flags,
        )
        rows = torch.from_numpy(rows_of(np.concatenate(firsts), number))
        return Loaded(compact, self.frame, rows, torch.from_numpy(last_of_run))


def _read(member: h5py.Dataset, part: slice) -> NDArray[np.integer]:
    values: NDArray[np.integer] = member[part]
    return values
