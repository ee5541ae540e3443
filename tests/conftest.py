"""Real servers and real runs for tests, on free ports, stopped by themselves."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests_support import REPOSITORY, Marquee, changes, free_port, values_of, wait_for


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
            timeout=850,
        )
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done

    return call


@pytest.fixture(scope="session")
def small_run(
    prefect_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str], str]:
    """A whole retraining of seconds on generated data: its work directory, KEY=VALUE lines and output."""
    home = tmp_path_factory.mktemp("small")
    command = [sys.executable, "-m", "flows.cli", "retrain", *changes()]
    env = prefect_env | {"MARQUEE_HOME": str(home)}
    done = subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=850)
    assert done.returncode == 0, done.stdout + done.stderr
    return home, values_of(done.stdout), done.stdout + done.stderr


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed")
    return found
