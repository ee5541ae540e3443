"""Runs the faulty proxy, and gives it orders."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests_support import free_port, wait_for


@contextmanager
def proxied(upstream: int | None) -> Iterator[str]:
    """The URL of a faulty proxy in front of the S3 server on a port of 127.0.0.1."""
    port = free_port()
    script = str(Path(__file__).with_name("faulty_proxy.py"))
    process = subprocess.Popen([sys.executable, script, str(port), str(upstream)])
    try:
        wait_for(f"http://127.0.0.1:{port}/count", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def asked(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310, loopback
        return str(answer.read().decode())
