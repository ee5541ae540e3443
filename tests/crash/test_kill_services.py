"""Prefect's server or worker is killed while a stage is at work: a clear end, and a rerun with the same digests."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests_support import REPOSITORY, Marquee, SmallRun, changes, free_port, wait_for

from storage.artifacts.manifest import MEASURED
from storage.artifacts.store import ArtifactStore

PREFECT = str(Path(sys.executable).with_name("prefect"))
AT_WORK = "artifacts/texts/.draft.*"

pytestmark = pytest.mark.nightly


@contextmanager
def started(command: list[str], env: Mapping[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process and what it starts, in a group that is killed at the end."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for_work(home: Path, process: subprocess.Popen[bytes]) -> None:
    while not list(home.glob(AT_WORK)):
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        time.sleep(0.01)


def contents(home: Path) -> set[tuple[str, str, str]]:
    """Kind, digest and content of the artifacts that `build-dataset` makes."""
    store = ArtifactStore(home / "artifacts")
    kinds = {path.name for path in (home / "artifacts").iterdir()} - set(MEASURED)
    return {(kind, made.digest, made.sha256) for kind in kinds for made in store.manifests(kind)}


def test_a_command_whose_server_is_killed_says_so_and_can_be_run_again(
    prefect_env: dict[str, str], small_run: SmallRun, marquee: Marquee, tmp_path: Path
) -> None:
    port, home, folder = free_port(), tmp_path / "home", tmp_path / "server"
    folder.mkdir()
    url = f"http://127.0.0.1:{port}/api"
    env = prefect_env | {
        "MARQUEE_HOME": str(home),
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": url,
        "PREFECT_CLIENT_MAX_RETRIES": "1",  # by default its client tries for a minute
    }
    server_command = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with started(server_command, env, folder) as server:
        wait_for(f"{url}/health", server, 600)
        command = [sys.executable, "-m", "flows.cli", "build-dataset", *changes()]
        with subprocess.Popen(
            command, env=env, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            while process.poll() is None and not list(home.glob(AT_WORK)):
                time.sleep(0.01)
            kill(server)
            _, errors = process.communicate()
    assert process.returncode == 1, errors
    assert f"PrefectServerError: {url}: expected an answer" in errors
    assert "finished steps are kept" in errors
    before = contents(home)
    assert before
    marquee("build-dataset", *changes())
    assert before < contents(home) <= contents(small_run.home)
    assert not list(home.rglob(".draft.*"))


def test_a_run_whose_worker_is_killed_can_be_run_again(prefect_env: dict[str, str], tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "worker"
    folder.mkdir()
    env = prefect_env | {"MARQUEE_HOME": str(home), "PATH": f"{Path(PREFECT).parent}:{prefect_env['PATH']}"}
    pool = f"killed-{tmp_path.name}"
    parameters = json.dumps(
        {
            "source": {"sample": {"users": 60, "movies": 120, "mechanics": {"exit_rate": 0.05}}},
            "features": {"dim": 8, "text": {"max_tokens": 16}},
        }
    )
    name = "build-dataset/killed"
    deployment = {
        "name": "killed",
        "entrypoint": "flows.build_dataset.build_dataset",
        "parameters": {"profile": "sample"},
        "work_pool": {"name": pool},  # its own, so that no worker of another test takes the run
    }
    pull = [{"prefect.deployments.steps.set_working_directory": {"directory": str(REPOSITORY)}}]
    (tmp_path / "prefect.yaml").write_text(json.dumps({"pull": pull, "deployments": [deployment]}))

    def prefect(*arguments: str, cwd: Path = tmp_path) -> None:
        done = subprocess.run([PREFECT, *arguments], env=env, cwd=cwd, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    prefect("work-pool", "create", "--type", "process", pool)
    prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(tmp_path / "prefect.yaml"), cwd=REPOSITORY)
    worker = [PREFECT, "worker", "start", "--pool", pool]
    with started(worker, env, folder) as process:
        prefect("deployment", "run", name, "--params", parameters)
        wait_for_work(home, process)
    before = contents(home)
    assert before
    with started(worker, env, folder):
        prefect("deployment", "run", name, "--watch", "--params", parameters)
    after = contents(home)
    assert before < after
    assert not list(home.rglob(".draft.*"))
    whole = env | {"MARQUEE_HOME": str(tmp_path / "whole")}
    with started(worker, whole, folder):
        prefect("deployment", "run", name, "--watch", "--params", parameters)
    assert contents(tmp_path / "whole") == after


def test_two_retrainings_at_once_make_the_artifacts_of_one(
    prefect_env: dict[str, str], small_run: SmallRun, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-m", "flows.cli", "retrain", *changes()]
    env = prefect_env | {"MARQUEE_HOME": str(home)}
    pipe = subprocess.PIPE
    both = [
        subprocess.Popen(command, env=env, cwd=REPOSITORY, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n\n".join(outputs)
    assert contents(home) == contents(small_run.home)
    assert not list(home.rglob(".draft.*"))
    assert not list((home / "checkpoints").iterdir())
