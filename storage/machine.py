"""The cores and the memory that this process may use, and how its memory goes back to the system."""

import ctypes
import os
from pathlib import Path

import psutil

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's names and numbers, malloc.h


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Bytes of memory that are available, within the limit of the container."""
    free = int(psutil.virtual_memory().available)
    limit, used = (_number(Path(f"/sys/fs/cgroup/memory.{name}")) for name in ("max", "current"))
    return free if limit is None else min(free, limit - (used or 0))


def set_malloc(largest_in_heap: int, most_kept: int | None = None) -> None:
    """Say what the C library keeps of freed memory; without effect if it is not glibc.

    Args:
        largest_in_heap: bytes; a larger block goes back to the system when it is freed.
        most_kept: bytes at the end of the heap that stay with this process; None: glibc's default.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, largest_in_heap)
        if most_kept is not None:
            mallopt(M_TRIM_THRESHOLD, most_kept)


def _number(path: Path) -> int | None:
    """The number in a file of the kernel; None if there is no such file, or no limit."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
