"""One process measured from outside: wall time from its start to its end, and its own peak memory, not its children's."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple


class Measured(NamedTuple):
    """What one run of a process took."""

    seconds: float
    cpu_seconds: float  # of all its threads: on a busy machine the fairer number
    peak_mib: float
    output: str


def measured(script: Path, *arguments: str, **environment: str) -> Measured:
    """Run a Python script to its end in a process of its own."""
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
