"""What a killed command leaves: no process, and no file that the next command does not remove."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests_support import REPOSITORY, Marquee, changes


def processes_of(home: Path) -> dict[int, str]:
    """Running processes that have inherited this work directory, by number."""
    found = {}
    mark = f"MARQUEE_HOME={home}\0".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:120]
        except OSError:
            continue
    return found


@pytest.mark.nightly
def test_a_killed_command_leaves_no_process_and_nothing_that_is_not_swept(
    prefect_env: dict[str, str], marquee: Marquee, tmp_path: Path
) -> None:
    home, scratch = tmp_path / "home", tmp_path / "system"
    scratch.mkdir()
    own = {"MARQUEE_HOME": str(home), "PREFECT_HOME": str(tmp_path / "prefect"), "TMPDIR": str(scratch)}
    env = prefect_env | own
    del env["PREFECT_API_URL"]  # so that Prefect starts its temporary server
    command = [sys.executable, "-m", "flows.cli", "build-dataset", *changes(cluster__scheduler="local")]
    process = subprocess.Popen(command, env=env, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(home.glob("scratch/.draft.dask.*/dask/*")):
        time.sleep(0.01)
    alive = processes_of(home)
    assert any("temporary_server" in command for command in alive.values()), alive
    assert len(alive) >= 4  # the command, the server, Dask's workers
    process.send_signal(signal.SIGKILL)  # the command alone, not its group
    assert process.wait() == -signal.SIGKILL
    deadline = time.monotonic() + 120
    while (alive := processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    assert not alive
    assert list(home.rglob(".draft.*"))
    marquee("build-dataset", *changes())
    assert not list(home.rglob(".draft.*"))
    assert not list(scratch.iterdir())
