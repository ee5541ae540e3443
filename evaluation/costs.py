"""What work costs on this machine: wall time and peak memory."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from evaluation.sections.methods import Cost

R = TypeVar("R")
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measured(work: Callable[[], R]) -> tuple[R, Cost]:
    """Do a piece of work; its result, how long it took, and the most memory the process held meanwhile."""
    known = reset_peak()
    began = time.perf_counter()
    result = work()
    return result, Cost(fit_seconds=time.perf_counter() - began, peak_mib=peak_mib() if known else None)


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
