"""A dense file read in pieces of neighbouring rows, as a source of `TransitionStream`."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.dense import BLOCK_ROWS
from storage.errors import DatasetError
from storage.transitions_format import opened
from storage.transitions_gather import Gathered

BATCH_MEMBERS = ("observations", "actions", "rewards", "next_observations", "terminals")


class Rows(NamedTuple):
    """Some rows of a dense file in memory."""

    batch: Gathered
    rows: Tensor  # (T,) int64

    def fill(self, rows: Tensor, out: Gathered) -> None:
        """Copy some rows, in any order."""
        for source, into in zip(self.batch, out, strict=True):
            torch.index_select(source, 0, rows, out=into)


class DenseRows:
    """The transitions of a dense file.

    Attributes:
        path: the file.
        frame, dim, dtype: F, D and that of observations.
        rows: (P,) int64, rows of each piece.
    """

    def __init__(self, path: Path, split: str | None = None) -> None:
        """Look at the file; one split of it, or all its rows."""
        with opened(path, "dense") as file:
            self.frame, self.dim = int(file.attrs["frame"]), int(file.attrs["dim"])
            self.dtype: torch.dtype = getattr(torch, file["observations"].dtype.name)
            names, bounds = file.attrs["splits"].split(","), file.attrs["split_rows"].tolist()
        if split is not None and split not in names:
            raise DatasetError(f"{path}: expected split {split}; found {names}. Export it with export_dense(splits=…).")
        begin, end = (0, bounds[-1]) if split is None else bounds[names.index(split) :][:2]
        self.path = path
        # Pieces are whole chunks of the file, but for the ends of a split.
        inner = np.arange(begin // BLOCK_ROWS + 1, -(-end // BLOCK_ROWS)) * BLOCK_ROWS
        self._bounds = np.concatenate(([begin], inner, [end]))
        self.rows: NDArray[np.int64] = np.diff(self._bounds)

    def load(self, pieces: Sequence[int] | NDArray[np.int64]) -> Rows:
        """Read pieces, one after another.

        Raises:
            DatasetError: a checksum does not match, or the file is gone.
        """
        total = int(self.rows[pieces].sum())
        with opened(self.path, "dense") as file:
            parts = [self._member(file[name], pieces, total) for name in BATCH_MEMBERS]
        return Rows(Gathered(*parts), torch.arange(total))

    def _member(self, member: h5py.Dataset, pieces: Sequence[int] | NDArray[np.int64], total: int) -> Tensor:
        values = np.empty((total, *member.shape[1:]), dtype=member.dtype)
        place = 0
        for piece in pieces:
            begin, end = int(self._bounds[piece]), int(self._bounds[piece + 1])
            member.read_direct(values, np.s_[begin:end], np.s_[place : place + end - begin])
            place += end - begin
        return torch.from_numpy(values).to(self.dtype)
