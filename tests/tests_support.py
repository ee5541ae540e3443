"""What several test files share and that is no fixture."""

import fcntl
import json
import os
import shlex
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[1]
SMALL = {
    "source.sample": "{users: 60, movies: 120, mechanics: {exit_rate: 0.05}}",
    "features.dim": "16",
    "features.text.max_tokens": "16",
    "train.learners": "[ranking, td3_bc, iql]",
    "train.trainer": "{steps: 60, batch_size: 32, validate_every: 20, checkpoint_every: 20, log_every: 20}",
    "train.sequence_trainer": "{steps: 6, validate_every: 3, checkpoint_every: 3, log_every: 3}",
    "train.ranking": "{sequences: 4, policy: {width: 16, length: 12}, kernel: {min_count: 1}}",
    "train.td3": "{hidden_dim: 16}",
    "train.td3_bc": "{hidden_dim: 16}",
    "train.iql": "{hidden_dim: 16}",
    "train.ddpg": "{hidden_dim: 16}",
    "train.validation_steps": "50",
    "evaluate.sample": "50",
    "evaluate.baselines.grids": "{markov: {decay: [1.0, 0.8], window: [5, 2]}}",
}

Marquee = Callable[..., subprocess.CompletedProcess[str]]


class SmallRun(NamedTuple):
    """A whole retraining on generated data: its work directory, KEY=VALUE lines and output."""

    home: Path
    values: dict[str, str]
    output: str

    def command(self, introduction: str) -> list[str]:
        """The words of the command that the output has under a line."""
        lines = self.output.splitlines()
        return shlex.split(lines[lines.index(introduction) + 1])


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def changes(**more: str) -> list[str]:
    """`--set` options of a run that takes seconds."""
    values = SMALL | {name.replace("__", "."): value for name, value in more.items()}
    return [part for name, value in values.items() for part in ("--set", f"{name}={value}")]


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 600) -> None:
    """Wait until a server answers; fail if it ends before that."""
    for _ in range(int(seconds / 0.2)):
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(url)


def values_of(output: str) -> dict[str, str]:
    """The KEY=VALUE lines at the end of an output."""
    pairs = (line.partition("=") for line in output.splitlines() if line.split("=")[0].isupper())
    return {key: value for key, _, value in pairs}


def required(tool: str) -> None:
    """Fail the test if its tool is absent. Such tests are deselected before, unless MARQUEE_REQUIRE_TOOLS is set."""
    if (why := absent_tools().get(tool)) is not None:
        pytest.fail(f"{tool}: {why}; this test must run because MARQUEE_REQUIRE_TOOLS is set")


def absent_tools() -> dict[str, str]:
    """The tools that are not here, by the name of the fixture that gives them, and why."""
    found = {
        "real_data": os.environ.get("MARQUEE_REAL_DATA"),
        "radosgw": shutil.which("radosgw") and shutil.which("ceph-mon"),
        "chromium": find_chromium(),
        "strace": shutil.which("strace"),
    }
    why = {
        "real_data": "MARQUEE_REAL_DATA names no folder of real releases",
        "radosgw": "not installed (apt-get install radosgw ceph-mon ceph-osd ceph-mgr ceph-common uuid-runtime)",
        "chromium": "not installed",
    }
    return {tool: why[tool] for tool, place in found.items() if not place}


def find_chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Shared:
    """Servers and runs that all pytest-xdist workers of one test run use together.

    The first worker that asks makes the thing under a file lock; the others read what it wrote. Servers run in sessions
    of their own and are killed when the process that started the workers ends.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def once(self, name: str, make: Callable[[Path], Any]) -> Any:
        """The JSON value that `make` returned when it was called, by whichever worker, with a new folder."""
        with (self.folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            answer = self.folder / f"{name}.json"
            if not answer.exists():
                place = self.folder / name
                place.mkdir(exist_ok=True)
                answer.write_text(json.dumps(make(place)))
            return json.loads(answer.read_text())

    def server(self, command: list[str], log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a process that lives until the test run ends."""
        with log.open("w") as stream:
            process = subprocess.Popen(command, env=env, stdout=stream, stderr=stream, start_new_session=True)
        with (self.folder / "process-groups").open("a") as groups:
            groups.write(f"{process.pid}\n")
        return process

    def keep(self) -> subprocess.Popen[bytes]:
        """A process that kills the servers and removes this folder when its standard input ends.

        The caller holds the other end, so that this happens however the caller ends.
        """
        script = 'cat; for group in $(cat "$0/process-groups"); do kill -s KILL -- "-$group"; done; rm -rf "$0"'
        return subprocess.Popen(
            ["sh", "-c", script, str(self.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
