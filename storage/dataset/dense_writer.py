"""Write the dense layout: every transition in full under D4RL's names, for readers that do not know Marquee."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from storage.dataset.compact_source import CompactSource, LoadedHistories
from storage.dataset.format import DENSE, FORMAT, Split, scale_attributes
from storage.dataset.gather import new_batch
from storage.dataset.new_file import new_file
from storage.dataset.structure import set_attributes
from storage.dataset.writer import read_back
from storage.errors import DatasetError, StorageFullError
from storage.files import replacing, writing_to

DenseDtype = Literal["float32", "float16"]
BLOCK_ROWS = 1024  # rows of one write, and of a chunk unless that would be too large
CHUNK_BYTES = 1 << 17  # small, since a stream reads single observations
SLACK_BYTES = 16 << 20  # the file's own indices, and room for others


def export_dense(
    dataset: Path,
    out: Path,
    *,
    dtype: DenseDtype = "float32",
    splits: Sequence[Split] = ("train",),
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> dict[str, Any]:
    """Write the transitions of some splits of a compact dataset, one split after another, each in the file's order.

    `observations`, `next_observations` (T, S) and `actions` (T, D) of `dtype`, `rewards` (T,) float32, `terminals` and
    `timeouts` (T,) bool. A timeout marks the last transition that a split has of a user whose history goes on.
    Memory is bounded, equal inputs give equal bytes, and `out` appears whole or not at all.

    Args:
        dataset: a compact transitions.h5.
        out: the file to make, or to replace.
        dtype: of observations and actions.
        splits: names; attribute `split_rows` says where each begins.
        progress: called with the rows written and the rows in all.

    Returns: rows in all and per split, bytes, terminals and timeouts.

    Raises:
        StorageFullError: the disk has less room than the file will need; nothing was written.
        DatasetError: the dataset is not whole, the splits hold no transition, or a value is beyond float16.
    """
    sources = {split: CompactSource(dataset, split, getattr(torch, dtype)) for split in splits}
    rows = {split: int(source.rows.sum()) for split, source in sources.items()}
    total = sum(rows.values())
    if len(rows) < len(splits) or not total:
        raise DatasetError(
            f"{dataset}: expected transitions in different splits; found {rows} in {list(splits)}. Name other splits."
        )
    first = sources[splits[0]]
    _refuse_overflow(first, dtype)
    out.parent.mkdir(parents=True, exist_ok=True)
    needed, free = dense_size(total, first.frame, first.dim, dtype), shutil.disk_usage(out.parent).free
    if needed > free:
        raise StorageFullError(
            f"{out}: expected {needed:,} free bytes for {total:,} transitions in {dtype}; found {free:,}. "
            "Export fewer splits, choose float16, or name a file on a larger disk."
        )
    with writing_to(out.parent), replacing(out) as temporary:
        with new_file(temporary) as file:
            writer = _Rows(file, total, first)
            for source in sources.values():
                for block in range(len(source.rows)):
                    writer.add(source.load([block]))
                    progress(writer.written + writer.held, total)
            writer.flush()
            set_attributes(file, first.head.provenance)
            set_attributes(file, scale_attributes(first.head.scale, first.head.reward))
            set_attributes(file, {"frame": first.frame, "dim": first.dim, "time_cut": first.head.time_cut})
            set_attributes(file, {"splits": ",".join(splits), "split_rows": np.cumsum([0, *rows.values()])})
            set_attributes(file, {"layout": "dense", "format": FORMAT})  # last: a file without them was not finished
        read_back(temporary, DENSE)
    return {
        "rows": total,
        "rows_by_split": rows,
        "size_bytes": out.stat().st_size,
        "terminals": writer.terminals,
        "timeouts": writer.timed_out,
    }


def dense_size(rows: int, frame: int, dim: int, dtype: DenseDtype) -> int:
    """Bytes that a dense file of so many transitions takes, rounded up."""
    wide, itemsize = frame * (dim + 1), np.dtype(dtype).itemsize
    padded = -(-rows // BLOCK_ROWS) * BLOCK_ROWS if rows > BLOCK_ROWS else rows
    row = (2 * wide + dim) * itemsize + 4 + 1 + 1
    chunks = sum(padded // chunk_rows(size) + 1 for size in (wide * itemsize, wide * itemsize, dim * itemsize, 4, 1, 1))
    return padded * row + 20 * chunks + SLACK_BYTES  # a checksum and an index entry for each chunk


def chunk_rows(row_bytes: int) -> int:
    """Whole rows of one chunk: a power of two of at most BLOCK_ROWS rows and, where a row allows it, CHUNK_BYTES."""
    return min(BLOCK_ROWS, 1 << max(0, (CHUNK_BYTES // row_bytes).bit_length() - 1))


class _Rows:
    """The six members, written in whole chunks."""

    def __init__(self, file: h5py.File, total: int, source: CompactSource) -> None:
        self.block = min(total, BLOCK_ROWS)
        self.batch = new_batch(self.block, source.frame, source.dim, source.dtype)
        self.rewards = torch.empty(self.block)  # float32 whatever the batch is
        self.timeouts = torch.empty(self.block, dtype=torch.bool)
        self.reward_of_code = torch.from_numpy(source.head.reward_of_code())
        self.written = self.held = self.terminals = self.timed_out = 0
        self.members = [
            file.create_dataset(
                name, shape=(total, *shape[1:]), dtype=kind, fletcher32=True, track_times=False,
                chunks=(min(self.block, chunk_rows(int(np.prod(shape[1:])) * kind.itemsize)), *shape[1:]),
            )
            for name, shape, kind in ((name, part.shape, part.dtype) for name, part in zip(DENSE, self._block(), strict=True))
        ]  # fmt: skip

    def add(self, loaded: LoadedHistories) -> None:
        """Take the transitions of one block of histories."""
        taken = 0
        while taken < len(loaded.rows):
            count = min(self.block - self.held, len(loaded.rows) - taken)
            into, rows = slice(self.held, self.held + count), loaded.rows[taken : taken + count]
            part = self.batch.rows(into.start, into.stop)
            loaded.fill(rows, part)
            self.rewards[into] = self.reward_of_code[loaded.compact.code[rows + loaded.frame].int()]
            self.timeouts[into] = loaded.last_of_run[taken : taken + count] & (part.terminal == 0)
            self.held += count
            taken += count
            if self.held == self.block:
                self.flush()

    def flush(self) -> None:
        """Write the rows that are held."""
        if not self.held:
            return
        block, end = self._block(), self.written + self.held
        for member, values in zip(self.members, block, strict=True):
            member.write_direct(values, np.s_[: self.held], np.s_[self.written : end])
        self.terminals += int(block[4][: self.held].sum())
        self.timed_out += int(block[5][: self.held].sum())
        self.written, self.held = end, 0

    def _block(self) -> tuple[NDArray[Any], ...]:
        """The rows that are held, in the order of DENSE."""
        observation, action, _, following, terminal = (part.numpy() for part in self.batch)
        return observation, action, self.rewards.numpy(), following, terminal.astype(bool), self.timeouts.numpy()


def _refuse_overflow(source: CompactSource, dtype: DenseDtype) -> None:
    most = float(np.finfo(dtype).max)
    largest = max(float(np.abs(source.head.embedding).max()), float(np.abs(source.head.reward_of_code()).max()))
    if largest > most:
        raise DatasetError(
            f"{source.path}: expected embeddings within ±{most:g} for {dtype}; found {largest:g}. Export float32."
        )
