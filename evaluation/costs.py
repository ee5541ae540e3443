"""Measurement of wall time and peak memory."""

import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

R = TypeVar("R")
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Memory:
    """The peak memory that this process adds from now on.

    Use one at a time: each new one resets the kernel's peak. Memory freed by earlier work is returned to the kernel first, since
    later work would otherwise use it without a change of the peak.
    """

    def __init__(self) -> None:
        give_back()
        self.held = peak_mib() if reset_peak() else None

    def peak(self) -> float | None:
        """The added peak so far, MiB; None if the kernel does not report it."""
        found = peak_mib()
        return None if self.held is None or found is None else max(found - self.held, 0.0)


def measured(work: Callable[[], R]) -> tuple[R, float, float | None]:
    """Do a piece of work.

    Returns:
        Its result, its wall time in seconds, and the peak memory it added in MiB (None if the kernel does not report it).
    """
    memory, began = Memory(), time.perf_counter()
    result = work()
    return result, time.perf_counter() - began, memory.peak()


def give_back() -> None:
    """Return freed memory to the kernel, if the C library can (glibc)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def reset_peak() -> bool:
    """Reset the kernel's peak memory of this process; False if it cannot."""
    try:
        RESET.write_text("5")  # proc(5): resets the peak resident set size
    except OSError:
        return False
    return True


def peak_mib() -> float | None:
    """The peak resident set size since the reset, MiB; None if the kernel does not report it."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), None)
