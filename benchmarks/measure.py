"""Measure one process: wall time from its start to its end, CPU time, and peak memory without that of its children."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple


class Measured(NamedTuple):
    """Time and memory of one run of a process."""

    seconds: float
    cpu_seconds: float  # of all threads: on a busy machine more reliable than `seconds`
    peak_mib: float  # at least that of the calling process when it started this one
    output: str


def measured(script: Path, *arguments: str, **environment: str) -> Measured:
    """Run a Python script in its own process, to its end."""
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, str(script), *arguments], stdout=subprocess.PIPE, text=True, env=os.environ | environment
    ) as process:
        assert process.stdout is not None  # noqa: S101
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{script.name} {' '.join(arguments)} ended with {process.returncode}\n{output}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output.strip())
