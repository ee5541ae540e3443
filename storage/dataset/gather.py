"""Making a batch out of compact arrays: one compiled way, one with torch alone (any device), to the same bytes."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.compiled import helper

_gather: Any = helper("_gather")

CACHE_LINE, HUGE_PAGE = 64, 1 << 21
ROWS_WORTH_A_THREAD = 512
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


class Gathered(NamedTuple):
    """B transitions, all of one dtype; S = F * D + F, `[e_1 … e_F | r_1 … r_F]`, oldest first, r being rewards."""

    observation: Tensor  # (B, S)
    action: Tensor  # (B, D)
    reward: Tensor  # (B,)
    next_observation: Tensor  # (B, S)
    terminal: Tensor  # (B,) 1 on the last transition of a history

    def rows(self, begin: int, end: int) -> "Gathered":
        """A part of the batch, sharing its memory."""
        return Gathered(*(member[begin:end] for member in self))


class Compact(NamedTuple):
    """N events of U users on one device, and what they stand for in the dtype of a batch."""

    item: Tensor  # (N,) int32
    code: Tensor  # (N,) uint8
    offset: Tensor  # (U + 1,) int64
    embedding: Tensor  # (I, D)
    reward_of_code: Tensor  # (256,)
    flags: Tensor  # (2,) 0 and 1


def shapes(rows: int, frame: int, dim: int) -> tuple[tuple[int, ...], ...]:
    """Of the members of a batch."""
    wide = frame * dim + frame
    return (rows, wide), (rows, dim), (rows,), (rows, wide), (rows,)


def new_batch(rows: int, frame: int, dim: int, dtype: torch.dtype, device: torch.device | str = "cpu") -> Gathered:
    """Room for a batch of `rows` transitions."""
    on_cpu = torch.device(device).type == "cpu"
    return Gathered(
        *(
            _aligned(shape, dtype) if on_cpu else torch.empty(shape, dtype=dtype, device=device)
            for shape in shapes(rows, frame, dim)
        )
    )


def ring_of(depth: int, rows: int, frame: int, dim: int, dtype: torch.dtype) -> Iterator[Gathered]:
    """`depth` batches' room on the CPU, over and over: memory that was touched before is several times quicker to fill."""
    return cycle([new_batch(rows, frame, dim, dtype) for _ in range(depth)])


def gather(compact: Compact, frame: int, starts: Tensor, out: Gathered) -> Gathered:
    """Fill `out`, contiguous and of B rows, with the transitions at `starts` (B,) int64.

    Raises:
        ValueError: shapes, dtypes or places do not fit.
    """
    expected = [
        (shape, compact.embedding.dtype, True) for shape in shapes(len(starts), frame, compact.embedding.shape[1])
    ]
    found = [(tuple(part.shape), part.dtype, part.is_contiguous()) for part in out]
    if found != expected:
        raise ValueError(f"gather: expected buffers of shapes, dtype, contiguity {expected}; found {found}.")
    if compact.item.device.type != "cpu":
        return gather_pure(compact, frame, starts, out)
    if _gather is not None:
        return gather_compiled(compact, frame, starts, out)
    if len(starts) and (int(starts.min()) < 0 or int(starts.max()) + frame >= len(compact.item)):
        raise ValueError("gather: expected starts within the events; found a start outside the events.")
    return gather_pure(compact, frame, starts, out)


def gather_compiled(
    compact: Compact, frame: int, starts: Tensor, out: Gathered, instructions: str = "avx512"
) -> Gathered:
    """In C, on as many threads as torch uses, without holding the interpreter.

    Args:
        compact: on the CPU.
        frame: F.
        starts: (B,) int64.
        out: to fill.
        instructions: the best set to use where the processor has it: avx512, avx2 or portable.
    """
    _gather.gather(
        starts.contiguous().numpy(), compact.item.numpy(), compact.code.numpy(), compact.offset.numpy(),
        _bytes(compact.embedding), _bytes(compact.reward_of_code), _bytes(compact.flags),
        _bytes(out.observation), _bytes(out.action), _bytes(out.reward), _bytes(out.next_observation),
        _bytes(out.terminal), frame, compact.embedding.shape[1], compact.embedding.element_size(), _threads(len(starts)),
        instructions,
    )  # fmt: skip
    return out


def gather_rows(
    memory: NDArray[np.uint8],
    observation_at: NDArray[np.int64],
    action_at: NDArray[np.int64],
    frame: int,
    out: Gathered,
    instructions: str = "avx512",
) -> None:
    """Copy observations (B, S) and actions (B, D) that lie in memory; `out.reward` is filled already.

    A next observation is the observation moved by one event: action and reward say which.
    """
    dim = out.action.shape[1]
    _gather.copy_rows(
        memory, observation_at, action_at, _bytes(out.reward), _bytes(out.observation), _bytes(out.action),
        _bytes(out.next_observation), frame, dim, out.action.element_size(), _threads(len(observation_at)), instructions,
    )  # fmt: skip


def gather_pure(compact: Compact, frame: int, starts: Tensor, out: Gathered) -> Gathered:
    """With torch, on the device of the arrays."""
    dim = compact.embedding.shape[1]
    width = frame * dim
    starts = starts.to(compact.item.device)
    window = starts.unsqueeze(1) + torch.arange(frame + 1, device=starts.device)
    embedded = compact.embedding.index_select(0, compact.item[window].view(-1)).view(len(starts), -1)
    rewards = compact.reward_of_code[compact.code[window].int()]
    end = starts + frame + 1
    last = compact.offset[torch.searchsorted(compact.offset, end)] == end
    out.observation[:, :width] = embedded[:, :width]
    out.observation[:, width:] = rewards[:, :frame]
    out.action.copy_(embedded[:, width:])
    out.reward.copy_(rewards[:, frame])
    out.next_observation[:, :width] = embedded[:, dim:]
    out.next_observation[:, width:] = rewards[:, 1:]
    out.terminal.copy_(compact.flags[last.int()])
    return out


def _threads(rows: int) -> int:
    return max(1, min(torch.get_num_threads(), rows // ROWS_WORTH_A_THREAD))


def _aligned(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A CPU tensor that begins on a cache line, large ones on a huge page (numpy asks the kernel for such)."""
    size = int(np.prod(shape)) * dtype.itemsize
    step = HUGE_PAGE if size >= 2 * HUGE_PAGE else CACHE_LINE
    memory = np.empty(size + step, dtype=np.uint8)
    begin = -memory.ctypes.data % step
    return torch.from_numpy(memory[begin : begin + size]).view(dtype).view(shape)


def _bytes(tensor: Tensor) -> NDArray[np.int16]:
    """The memory of a tensor of any dtype of batches, as numpy knows no bfloat16."""
    return tensor.view(-1).view(torch.int16).numpy()
