"""Real servers and real runs for tests, on free ports, stopped by themselves."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SMALL = {
    "source.sample": "{users: 60, movies: 120, events_per_user_mean: 25}",
    "features.dim": "16",
    "features.max_tokens": "16",
    "cluster.workers": "1",
    "train.trainer": "{steps: 60, batch_size: 32, validate_every: 20, checkpoint_every: 20, log_every: 20}",
    "train.td3": "{hidden_dim: 16}",
    "train.ddpg": "{hidden_dim: 16}",
    "train.validation_steps": "50",
    "evaluate.sample": "50",
}

Marquee = Callable[..., subprocess.CompletedProcess[str]]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def changes(**more: str) -> list[str]:
    """`--set` options of a run that takes seconds."""
    values = SMALL | {name.replace("__", "."): value for name, value in more.items()}
    return [part for name, value in values.items() for part in ("--set", f"{name}={value}")]


@pytest.fixture(scope="session")
def prefect_env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of processes that talk to a real Prefect server, started for this session."""
    port = free_port()
    home = tmp_path_factory.mktemp("prefect")
    env = os.environ | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "OMP_NUM_THREADS": "2",
    }
    env.pop("MARQUEE_HOME", None)
    log = (home / "server.log").open("w")
    prefect = str(Path(sys.executable).with_name("prefect"))
    server = subprocess.Popen(
        [prefect, "server", "start", "--host", "127.0.0.1", "--port", str(port)], env=env, stdout=log, stderr=log
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/api/health", server)
        yield env
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Until a server answers, or fail with its exit."""
    for _ in range(int(seconds / 0.2)):
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(url)


@pytest.fixture
def marquee(prefect_env: dict[str, str], tmp_path: Path) -> Marquee:
    """Run the command line against the session's server in a work directory of this test."""

    def call(
        *arguments: str, ok: bool = True, home: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flows.cli", *arguments]
        place = {"MARQUEE_HOME": str(home or tmp_path / "home")}
        done = subprocess.run(
            command,
            env=prefect_env | place | env,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done

    return call


def values_of(output: str) -> dict[str, str]:
    """The KEY=VALUE lines at the end of an output."""
    pairs = (line.partition("=") for line in output.splitlines() if line.split("=")[0].isupper())
    return {key: value for key, _, value in pairs}


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed")
    return found
