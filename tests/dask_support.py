"""A Dask scheduler with workers, each a process of its own, over TCP."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests_support import free_port


@contextmanager
def running_scheduler(workers: int = 1, **environment: str) -> Iterator[str]:
    """Yield the address of a scheduler.

    Its single-threaded workers have these variables of the environment; none starts again after its end.
    """
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    module, options = [sys.executable, "-m"], ["--no-dashboard"]
    dask = [*module, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), *options]
    worker = [*module, "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", *options]
    env = os.environ | {"PYTHONWARNINGS": "ignore"}
    commands = [(dask, env), *[(worker, env | environment)] * workers]
    processes = [
        subprocess.Popen(command, env=variables, cwd=Path.cwd(), stderr=subprocess.DEVNULL)
        for command, variables in commands
    ]
    try:
        while True:  # a client tries for 15 s only, and imports may take longer
            assert processes[0].poll() is None
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 60):
                break
            time.sleep(0.1)
        yield address
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(600)
