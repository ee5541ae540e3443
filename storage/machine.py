"""The cores and the memory that this process may use."""

import os
from pathlib import Path

import psutil


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Bytes of memory that are available, within the limit of the container."""
    free = int(psutil.virtual_memory().available)
    limit, used = (_number(Path(f"/sys/fs/cgroup/memory.{name}")) for name in ("max", "current"))
    return free if limit is None else min(free, limit - (used or 0))


def _number(path: Path) -> int | None:
    """The number in a file of the kernel; None if there is no such file, or no limit."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
