"""What work costs on this machine: wall time and peak memory."""

import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

R = TypeVar("R")
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Memory:
    """The most memory this process holds from now on, beyond what it holds now.

    One at a time: each new one lets the kernel count anew. What earlier work freed is given back first, or later work would use it
    unseen.
    """

    def __init__(self) -> None:
        give_back()
        self.held = peak_mib() if reset_peak() else None

    def peak(self) -> float | None:
        """So far, MiB; None where the kernel does not say."""
        found = peak_mib()
        return None if self.held is None or found is None else max(found - self.held, 0.0)


def measured(work: Callable[[], R]) -> tuple[R, float, float | None]:
    """Do a piece of work; its result, how many seconds it took, and the most memory it added meanwhile, MiB."""
    memory, began = Memory(), time.perf_counter()
    result = work()
    return result, time.perf_counter() - began, memory.peak()


def give_back() -> None:
    """Let the C library return freed memory to the kernel, where it can (glibc)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def reset_peak() -> bool:
    """Let the kernel count this process's peak memory anew; False where it cannot."""
    try:
        RESET.write_text("5")  # proc(5): resets the peak resident set size
    except OSError:
        return False
    return True


def peak_mib() -> float | None:
    """The peak resident set size since it was reset, MiB; None where the kernel does not say."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), None)
