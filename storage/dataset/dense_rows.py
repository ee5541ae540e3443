"""A dense file read in pieces of neighbouring rows, as a source of `TransitionStream`."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.dataset import gather as transitions_gather
from storage.dataset.chunks import CHECKSUM_BYTES, chunks_of, verify_chunk
from storage.dataset.dense import BLOCK_ROWS
from storage.dataset.format import opened
from storage.dataset.gather import Gathered, gather_rows
from storage.dataset.stream import InMemory
from storage.errors import DatasetError

BATCH_MEMBERS = ("observations", "actions", "rewards", "next_observations", "terminals")


class Rows(NamedTuple):
    """Some rows of a dense file in memory, as HDF5 gives them."""

    batch: Gathered
    rows: Tensor  # (T,) int64

    def fill(self, rows: Tensor, out: Gathered) -> None:
        """Copy some rows, in any order."""
        for source, into in zip(self.batch, out, strict=True):
            torch.index_select(source, 0, rows, out=into)


class RawRows(NamedTuple):
    """Some rows of a dense file in memory, as they lie in its chunks; next observations are made of the others."""

    memory: NDArray[np.uint8]
    observation_at: NDArray[np.int64]  # (T,) byte in memory
    action_at: NDArray[np.int64]  # (T,)
    reward: Tensor  # (T,)
    terminal: Tensor  # (T,)
    frame: int
    rows: Tensor  # (T,) int64

    def fill(self, rows: Tensor, out: Gathered) -> None:
        """Copy some rows, in any order."""
        torch.index_select(self.reward, 0, rows, out=out.reward)
        torch.index_select(self.terminal, 0, rows, out=out.terminal)
        gather_rows(self.memory, self.observation_at[rows], self.action_at[rows], self.frame, out)


class DenseRows:
    """The transitions of a dense file, which must not be cut short meanwhile: it is mapped into memory.

    Each chunk is verified when it is first met. With the C helper next observations are made of the others and not read.

    Attributes:
        path: the file.
        frame, dim, dtype: F, D and that of observations.
        rows: (P,) int64, rows of each piece.
    """

    def __init__(self, path: Path, split: str | None = None) -> None:
        """Look at the file; one split of it, or all its rows.

        Raises:
            DatasetError: it is no dense file, or lacks the split.
        """
        with opened(path, "dense") as file:
            self.frame, self.dim = int(file.attrs["frame"]), int(file.attrs["dim"])
            self.dtype: torch.dtype = getattr(torch, file["observations"].dtype.name)
            names, bounds = file.attrs["splits"].split(","), file.attrs["split_rows"].tolist()
            self._chunks = {name: chunks_of(file[name]) for name in ("observations", "actions")}
        if split is not None and split not in names:
            raise DatasetError(f"{path}: expected split {split}; found {names}. Export it with export_dense(splits=…).")
        begin, end = (0, bounds[-1]) if split is None else bounds[names.index(split) :][:2]
        self.path = path
        if begin == end:
            raise DatasetError(f"{path}: expected transitions of {split}; found none. Export another split.")
        # Pieces are whole blocks of the file, but for the ends of a split.
        inner = np.arange(begin // BLOCK_ROWS + 1, -(-end // BLOCK_ROWS)) * BLOCK_ROWS
        self._bounds = np.concatenate(([begin], inner, [end]))
        self.rows: NDArray[np.int64] = np.diff(self._bounds)
        # Copying out of the page cache costs as much as making batches: rows are taken from where they lie.
        self._mapped = np.memmap(path, np.uint8, "r")
        self._verified = {name: np.zeros(len(chunks.place), dtype=bool) for name, chunks in self._chunks.items()}

    def load(self, pieces: Sequence[int] | NDArray[np.int64]) -> InMemory:
        """Look at pieces, one after another.

        Raises:
            DatasetError: a checksum does not match, or the file is gone.
        """
        ranges = [(int(self._bounds[piece]), int(self._bounds[piece + 1])) for piece in pieces]
        compiled = transitions_gather._gather is not None
        with opened(self.path, "dense") as file:
            members = ("rewards", "terminals") if compiled else BATCH_MEMBERS
            parts = [self._member(file[name], ranges) for name in members]
            rows = torch.arange(len(parts[0]))
            if not compiled:
                return Rows(Gathered(*parts), rows)
            reward, terminal = parts
            return RawRows(self._mapped, *self._raw(ranges), reward, terminal, self.frame, rows)

    def _member(self, member: h5py.Dataset, ranges: list[tuple[int, int]]) -> Tensor:
        """Some rows of a member, in the dtype of batches."""
        values = np.empty((sum(end - begin for begin, end in ranges), *member.shape[1:]), dtype=member.dtype)
        place = 0
        for begin, end in ranges:
            member.read_direct(values, np.s_[begin:end], np.s_[place : place + end - begin])
            place += end - begin
        return torch.from_numpy(values).to(self.dtype)

    def _raw(self, ranges: list[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where in the file each row's observation and action begins; chunks met for the first time are verified."""
        places = []
        for name in ("observations", "actions"):
            chunks, verified = self._chunks[name], self._verified[name]
            row = np.concatenate([np.arange(*one) for one in ranges])
            chunk = row // chunks.rows
            for one in np.unique(chunk[~verified[chunk]]).tolist():
                verify_chunk(self._mapped, int(chunks.place[one]), chunks.size, name)
                verified[one] = True
            row_bytes = (chunks.size - CHECKSUM_BYTES) // chunks.rows
            places.append(chunks.place[chunk] + row % chunks.rows * row_bytes)
        return places[0], places[1]
