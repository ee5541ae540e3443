"""Make batches of transitions from compact arrays, with torch, on the device of the arrays."""

from collections.abc import Iterator
from itertools import cycle
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK_ROWS = 512  # transitions gathered at a time on a CPU: their embeddings then stay in its caches
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


class TransitionBatch(NamedTuple):
    """B transitions, all of one dtype. S = F * D + F: `[e_1 … e_F | r_1 … r_F]`, embeddings and rewards, oldest first."""

    observation: Tensor  # (B, S)
    action: Tensor  # (B, D)
    reward: Tensor  # (B,)
    next_observation: Tensor  # (B, S)
    terminal: Tensor  # (B,) 1 on the last transition of a history, else 0

    def rows(self, begin: int, end: int) -> "TransitionBatch":
        """A part of the batch that shares its memory."""
        return TransitionBatch(*(member[begin:end] for member in self))


class Compact(NamedTuple):
    """N events of U users over I items, on one device, and the values that events stand for in the dtype of a batch."""

    item: Tensor  # (N,) int32, row of `embedding`
    code: Tensor  # (N,) uint8 or int32, row of `reward_of_code`
    offset: Tensor  # (U + 1,) int64, first event of each user
    embedding: Tensor  # (I, D)
    reward_of_code: Tensor  # (C,), of a compact file: (256,)


def shapes(rows: int, frame: int, dim: int) -> tuple[tuple[int, ...], ...]:
    """The shapes of a batch's members, in their order."""
    wide = frame * dim + frame
    return (rows, wide), (rows, dim), (rows,), (rows, wide), (rows,)


def new_batch(
    rows: int, frame: int, dim: int, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> TransitionBatch:
    """Allocate a batch of `rows` transitions; its values are undefined."""
    return TransitionBatch(*(torch.empty(shape, dtype=dtype, device=device) for shape in shapes(rows, frame, dim)))


def ring_of(depth: int, rows: int, frame: int, dim: int, dtype: torch.dtype) -> Iterator[TransitionBatch]:
    """Yield `depth` batches on the CPU over and over; filling memory again is faster than allocating it."""
    return cycle([new_batch(rows, frame, dim, dtype) for _ in range(depth)])


def gather(compact: Compact, frame: int, starts: Tensor, out: TransitionBatch) -> TransitionBatch:
    """Fill `out` with the transitions at `starts`.

    Args:
        compact: the events.
        frame: F, events in one observation.
        starts: (B,) int64, the index of each transition's first event.
        out: contiguous buffers of B rows, in the dtype of `compact.embedding`.

    Returns: `out`.

    Raises:
        ValueError: `out` has other shapes or another dtype, or (checked on a CPU) a start lies outside the events.
    """
    sizes = shapes(len(starts), frame, compact.embedding.shape[1])
    expected = [(shape, compact.embedding.dtype, True) for shape in sizes]
    found = [(tuple(part.shape), part.dtype, part.is_contiguous()) for part in out]
    if found != expected:
        raise ValueError(f"gather: expected buffers of shapes, dtype, contiguity {expected}; found {found}.")
    on_cpu = compact.item.device.type == "cpu"
    if on_cpu and len(starts) and (int(starts.min()) < 0 or int(starts.max()) + frame >= len(compact.item)):
        raise ValueError(
            "gather: expected starts within the events; found a start outside the events. Take starts from this dataset."
        )
    return fill_batch(compact, frame, starts.to(compact.item.device), out)


def fill_batch(compact: Compact, frame: int, starts: Tensor, out: TransitionBatch) -> TransitionBatch:
    """Fill `out` as `gather` does, without checks. Nothing is read back, so the host does not wait for a GPU.

    Args:
        compact: the events.
        frame: F, events in one observation.
        starts: (B,) int64, on the device of the events.
        out: buffers of B rows.

    Returns: `out`.
    """
    dim = compact.embedding.shape[1]
    window = starts.unsqueeze(1) + torch.arange(frame + 1, device=starts.device)  # (B, F + 1) events
    items = compact.item[window]
    rewards = compact.reward_of_code[compact.code[window].int()]
    end = starts + frame + 1
    out.reward.copy_(rewards[:, frame])
    out.terminal.copy_(compact.offset[torch.searchsorted(compact.offset, end)] == end)
    width, step = frame * dim, BLOCK_ROWS if starts.device.type == "cpu" else max(1, len(starts))
    for begin in range(0, len(starts), step):
        block = out.rows(begin, begin + step)
        reward = rewards[begin : begin + step]
        embedded = compact.embedding.index_select(0, items[begin : begin + step].flatten()).view(len(reward), -1)
        torch.cat((embedded[:, :width], reward[:, :frame]), dim=1, out=block.observation)
        torch.cat((embedded[:, dim:], reward[:, 1:]), dim=1, out=block.next_observation)
        block.action.copy_(embedded[:, width:])
    return out
