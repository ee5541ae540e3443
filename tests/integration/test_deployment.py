"""A real server, a process work pool, a worker, and deployments run by name."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests_support import REPOSITORY

from storage.artifacts.store import ArtifactStore
from storage.dataset.reader import TransitionDataset

PREFECT = str(Path(sys.executable).with_name("prefect"))


@pytest.fixture
def worker(prefect_env: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    env = prefect_env | {
        "MARQUEE_HOME": str(tmp_path / "home"),
        "PATH": f"{Path(PREFECT).parent}:{prefect_env['PATH']}",
    }
    env.pop("VIRTUAL_ENV", None)
    run = [PREFECT, "work-pool", "create", "--type", "process", "marquee"]
    subprocess.run(run, env=env, cwd=REPOSITORY, check=True, capture_output=True, timeout=600)
    process = subprocess.Popen(
        [PREFECT, "worker", "start", "--pool", "marquee"], env=env, cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    yield env
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:  # it may wait long for a server that answers slowly; the test is over
        process.kill()
        process.wait(10)


def deploy(env: dict[str, str], *arguments: str) -> None:
    command = [PREFECT, "--no-prompt", "deploy", *arguments]
    done = subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def test_deploy_all_and_an_own_profile_and_run_by_name(worker: dict[str, str], tmp_path: Path) -> None:
    deploy(worker, "--all")
    with urllib.request.urlopen(f"{worker['PREFECT_API_URL']}/deployments/name/build-dataset/ml-20m") as answer:  # noqa: S310
        deployment = json.load(answer)
    name = "retrain/ml-20m-on-new-data"
    with urllib.request.urlopen(f"{worker['PREFECT_API_URL']}/deployments/name/{name}") as answer:  # noqa: S310
        scheduled = json.load(answer)
    assert scheduled["parameters"] == {"profile": "ml-20m", "on_new_data": True}
    assert [(one["schedule"]["cron"], one["active"]) for one in scheduled["schedules"]] == [("0 3 * * 0", False)]
    properties = deployment["parameter_openapi_schema"]["properties"]
    assert {"profile", "source", "features", "export", "cluster"} == properties.keys()
    assert all(field.get("description") for field in properties.values())

    profile = tmp_path / "mine.yaml"
    profile.write_text(
        "description: My own.\n"
        "source: {sample: {users: 60, movies: 120, mechanics: {exit_rate: 0.05}}}\n"
        "features: {dim: 8, text: {max_tokens: 16}}\n"
    )
    own = ["flows.build_dataset.build_dataset", "--name", "mine", "--pool", "marquee", "--param", f"profile={profile}"]
    deploy(worker, *own)
    run = [PREFECT, "deployment", "run", "build-dataset/mine", "--watch"]
    done = subprocess.run(run, env=worker, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Completed" in done.stdout + done.stderr
    store = ArtifactStore(tmp_path / "home" / "artifacts")
    dataset = store.select("dataset")
    assert dataset.rows > 0
    assert TransitionDataset.open(store.folder("dataset", dataset.digest) / "transitions.h5").dim == 8

    wrong = [PREFECT, "deployment", "run", "build-dataset/sample", "--watch", "--params", '{"export": {"frame": 0}}']
    refused = subprocess.run(wrong, env=worker, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert refused.returncode != 0
    assert "frame" in refused.stdout + refused.stderr
