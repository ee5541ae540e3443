"""A dense file read in pieces of neighbouring rows, as a source of `TransitionStream`."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage import transitions_gather
from storage.chunks import CHECKSUM_BYTES, Chunks, chunks_of, read_chunk
from storage.dense import BLOCK_ROWS
from storage.errors import DatasetError
from storage.transition_stream import InMemory
from storage.transitions_format import opened
from storage.transitions_gather import Gathered, gather_rows

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
    """The transitions of a dense file.

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
        # Of the buffers one is in use and one is being read; fresh memory would cost more than the reading.
        self._memory = [np.empty(0, dtype=np.uint8), np.empty(0, dtype=np.uint8)]
        self._turn = cycle((0, 1))

    def load(self, pieces: Sequence[int] | NDArray[np.int64]) -> InMemory:
        """Read pieces, one after another; of two loads the memory is used again by the third.

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
            memory, observation_at, action_at = self._raw(ranges)
            reward, terminal = parts
            return RawRows(memory, observation_at, action_at, reward, terminal, self.frame, rows)

    def _member(self, member: h5py.Dataset, ranges: list[tuple[int, int]]) -> Tensor:
        """Some rows of a member, in the dtype of batches."""
        values = np.empty((sum(end - begin for begin, end in ranges), *member.shape[1:]), dtype=member.dtype)
        place = 0
        for begin, end in ranges:
            member.read_direct(values, np.s_[begin:end], np.s_[place : place + end - begin])
            place += end - begin
        return torch.from_numpy(values).to(self.dtype)

    def _raw(self, ranges: list[tuple[int, int]]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
        """The chunks of observations and actions, and where in them each row begins."""
        wanted = [
            (name, chunks, chunk)
            for name, chunks in self._chunks.items()
            for begin, end in ranges
            for chunk in range(begin // chunks.rows, -(-end // chunks.rows))
        ]
        size = sum(chunks.size for _, chunks, _ in wanted)
        turn = next(self._turn)
        if len(self._memory[turn]) < size:
            self._memory[turn] = np.empty(size, dtype=np.uint8)
        memory, place = self._memory[turn], 0
        with self.path.open("rb", buffering=0) as file:
            for name, chunks, chunk in wanted:
                read_chunk(file.fileno(), int(chunks.place[chunk]), memory[place : place + chunks.size], name)
                place += chunks.size
        observed, begin = _places(self._chunks["observations"], ranges, 0)
        acted, _ = _places(self._chunks["actions"], ranges, begin)
        return memory, observed, acted


def _places(chunks: Chunks, ranges: list[tuple[int, int]], begin: int) -> tuple[NDArray[np.int64], int]:
    """Where each row of some ranges lies when their chunks are put one after another from `begin` on; and where that ends."""
    row_bytes = (chunks.size - CHECKSUM_BYTES) // chunks.rows
    places = []
    for first, last in ranges:
        row = np.arange(first, last)
        chunk = row // chunks.rows
        places.append(begin + (chunk - chunk[0]) * chunks.size + row % chunks.rows * row_bytes)
        begin += int(chunk[-1] - chunk[0] + 1) * chunks.size
    return np.concatenate(places), begin
