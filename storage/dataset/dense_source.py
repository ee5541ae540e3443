"""Read a dense file in blocks of neighbouring rows, as a source of `TransitionStream`.

Neighbouring rows of a history share all but one event of their observations. A block is therefore read as histories: the
whole observation of the first row of each run, and the action and the reward of every row.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from storage.dataset.arrays import all_finite
from storage.dataset.compact_source import LoadedHistories
from storage.dataset.dense_writer import BLOCK_ROWS
from storage.dataset.format import ATTRIBUTES_OF, PROVENANCE, opened
from storage.dataset.gather import Compact
from storage.dataset.histories import rows_of
from storage.dataset.structure import attributes_of, need
from storage.errors import DatasetError

BUFFER_BYTES = 64 << 20


class DenseSource:
    """The transitions of a dense file, in blocks of rows.

    HDF5 compares the checksum of each chunk that it reads. Observations that follow from others are not read.

    Attributes:
        path: the file.
        frame, dim, dtype: F, D and the dtype of observations.
        buffer_rows: transitions that a stream mixes at a time, unless told otherwise: those of BUFFER_BYTES.
        rows: (P,) int64, rows of each block.
    """

    def __init__(self, path: Path, split: str | None = None) -> None:
        """Read the attributes of the file.

        Args:
            path: the file.
            split: only the rows of this split; None: all rows.

        Raises:
            DatasetError: it is no dense file, or lacks the split.
        """
        with opened(path, "dense") as file:
            known = attributes_of(file, ATTRIBUTES_OF["dense"], PROVENANCE)
            self.dtype: torch.dtype = getattr(torch, file["observations"].dtype.name)
        self.frame, self.dim = known["frame"], known["dim"]
        names, bounds = known["splits"].split(","), known["split_rows"]
        if split is not None and split not in names:
            raise DatasetError(f"{path}: expected split {split}; found {names}. Export it with export_dense(splits=…).")
        begin, end = (0, bounds[-1]) if split is None else bounds[names.index(split) :][:2]
        self.path = path
        if begin == end:
            raise DatasetError(f"{path}: expected transitions of {split}; found none. Export another split.")
        self.buffer_rows = max(BLOCK_ROWS, BUFFER_BYTES // (self.dim * self.dtype.itemsize))
        # Blocks are whole blocks of the file, except at the ends of a split.
        inner = np.arange(begin // BLOCK_ROWS + 1, -(-end // BLOCK_ROWS)) * BLOCK_ROWS
        self._bounds = np.concatenate(([begin], inner, [end]))
        self.rows: NDArray[np.int64] = np.diff(self._bounds)

    def load(self, blocks: Sequence[int] | NDArray[np.int64]) -> LoadedHistories:
        """Read blocks, one after another.

        Returns: the runs of their rows as histories; each event is an item and a rating of its own.

        Raises:
            DatasetError: a checksum does not match, a value is not finite, or the file is gone.
        """
        begin, end = self._bounds[:-1][blocks], self._bounds[1:][blocks]
        with opened(self.path, "dense") as file:
            action, reward, terminal, timeout = (
                self._rows(file[name], begin, end) for name in ("actions", "rewards", "terminals", "timeouts")
            )
            flags = max(int(part.view(np.uint8).max()) for part in (terminal, timeout))
            need(file, flags <= 1, "terminals and timeouts of 0 or 1", flags)
            # A run ends with a terminal row, with a timeout, and with its block.
            last_of_run = terminal | timeout
            last_of_run[np.cumsum(end - begin) - 1] = True
            run_end = np.flatnonzero(last_of_run) + 1
            run_begin = np.concatenate(([0], run_end[:-1]))
            observation = file["observations"]
            first = np.stack([observation[row] for row in rows_of(begin, end - begin)[run_begin].tolist()])  # (R, S)
            need(file, all(map(all_finite, (action, reward, first))), "finite rows", "NaN or infinity")
        # The events of a run: the F events that its first row observes, and then the action of each row.
        number = run_end - run_begin
        run_start = run_begin + self.frame * np.arange(len(number))
        observed, acted = rows_of(run_start, np.full(len(number), self.frame)), rows_of(run_start + self.frame, number)
        event = np.arange(len(observed) + len(acted), dtype=np.int32)
        embedding = np.empty((len(event), self.dim), dtype=action.dtype)
        rewards = np.empty(len(event), dtype=np.float32)
        embedding[observed], embedding[acted] = first[:, : self.frame * self.dim].reshape(-1, self.dim), action
        rewards[observed], rewards[acted] = first[:, self.frame * self.dim :].ravel(), reward
        # Only terminal rows end a history; the last offset is never reached.
        offset = np.append(acted[terminal] + 1, len(event) + 1)
        compact = Compact(
            torch.from_numpy(event),
            torch.from_numpy(event),
            torch.from_numpy(offset),
            torch.from_numpy(embedding),
            torch.from_numpy(rewards).to(self.dtype),
        )
        rows = torch.from_numpy(rows_of(run_start, number))
        return LoadedHistories(compact, self.frame, rows, torch.from_numpy(last_of_run))

    @staticmethod
    def _rows(member: h5py.Dataset, begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[Any]:
        """The rows of some ranges of a member, one range after another."""
        values = np.empty((int((end - begin).sum()), *member.shape[1:]), dtype=member.dtype)
        place = 0
        for first, last in zip(begin.tolist(), end.tolist(), strict=True):
            member.read_direct(values, np.s_[first:last], np.s_[place : place + last - first])
            place += last - first
        return values
