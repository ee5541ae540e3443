"""Read a dense file in blocks of neighbouring rows, as a source of `TransitionStream`."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.dataset.dense_writer import BLOCK_ROWS
from storage.dataset.format import opened
from storage.dataset.gather import TransitionBatch
from storage.errors import DatasetError

BUFFER_BYTES = 256 << 20


class LoadedRows(NamedTuple):
    """Some rows of a dense file in memory, without their next observations, which follow from the other members."""

    observation: Tensor  # (T, S)
    action: Tensor  # (T, D)
    reward: Tensor  # (T,)
    terminal: Tensor  # (T,)
    frame: int
    rows: Tensor  # (T,) int64

    def fill(self, rows: Tensor, out: TransitionBatch) -> None:
        """Copy some rows, in any order, into `out`."""
        torch.index_select(self.observation, 0, rows, out=out.observation)
        torch.index_select(self.action, 0, rows, out=out.action)
        torch.index_select(self.reward, 0, rows, out=out.reward)
        torch.index_select(self.terminal, 0, rows, out=out.terminal)
        # The next observation is the observation moved by one event; that event is the action and its reward.
        dim = self.action.shape[1]
        width = self.frame * dim
        embedded, rewards = out.observation[:, dim:width], out.observation[:, width + 1 :]
        torch.cat((embedded, out.action, rewards, out.reward.unsqueeze(1)), dim=1, out=out.next_observation)


class DenseSource:
    """The transitions of a dense file, in blocks of rows.

    HDF5 compares the checksum of each chunk that it reads.

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
            self.frame, self.dim = int(file.attrs["frame"]), int(file.attrs["dim"])
            self.dtype: torch.dtype = getattr(torch, file["observations"].dtype.name)
            names, bounds = file.attrs["splits"].split(","), file.attrs["split_rows"].tolist()
        if split is not None and split not in names:
            raise DatasetError(f"{path}: expected split {split}; found {names}. Export it with export_dense(splits=…).")
        begin, end = (0, bounds[-1]) if split is None else bounds[names.index(split) :][:2]
        self.path = path
        if begin == end:
            raise DatasetError(f"{path}: expected transitions of {split}; found none. Export another split.")
        row_bytes = (self.frame * (self.dim + 1) + self.dim) * self.dtype.itemsize
        self.buffer_rows = max(BLOCK_ROWS, BUFFER_BYTES // row_bytes)
        # Blocks are whole blocks of the file, except at the ends of a split.
        inner = np.arange(begin // BLOCK_ROWS + 1, -(-end // BLOCK_ROWS)) * BLOCK_ROWS
        self._bounds = np.concatenate(([begin], inner, [end]))
        self.rows: NDArray[np.int64] = np.diff(self._bounds)

    def load(self, blocks: Sequence[int] | NDArray[np.int64]) -> LoadedRows:
        """Read blocks, one after another.

        Raises:
            DatasetError: a checksum does not match, or the file is gone.
        """
        ranges = [(int(self._bounds[block]), int(self._bounds[block + 1])) for block in blocks]
        with opened(self.path, "dense") as file:
            observation, action, reward, terminal = (
                self._member(file[name], ranges) for name in ("observations", "actions", "rewards", "terminals")
            )
        return LoadedRows(observation, action, reward, terminal, self.frame, torch.arange(len(reward)))

    def _member(self, member: h5py.Dataset, ranges: list[tuple[int, int]]) -> Tensor:
        """Some rows of a member, in the dtype of batches."""
        values = np.empty((sum(end - begin for begin, end in ranges), *member.shape[1:]), dtype=member.dtype)
        place = 0
        for begin, end in ranges:
            member.read_direct(values, np.s_[begin:end], np.s_[place : place + end - begin])
            place += end - begin
        return torch.from_numpy(values).to(self.dtype)
