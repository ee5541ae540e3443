"""A run killed by SIGKILL in any stage goes on when it is started again, and ends with the content of a whole run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests_support import REPOSITORY, Marquee, SmallRun, changes

from storage.artifacts.manifest import MEASURED
from storage.artifacts.store import ArtifactStore

TRAINER = "steps: 300, batch_size: 256, validate_every: 50, checkpoint_every: 10, log_every: 50"
STEPS = {"train__trainer": f"{{{TRAINER}, patience: 2, stages: [radam, adam]}}"}
THREADS = {"OMP_NUM_THREADS": "2"}  # sums of several threads come out alike, too
# Kill as soon as this shows: a draft is a stage at work, a checkpoint a learner amid training.
SIGNS = (
    "artifacts/*/.draft.*",
    "artifacts/texts/.draft.*",
    "artifacts/dataset/*",
    "checkpoints/*/step-*.pt",
    "artifacts/report/.draft.*",
    "published/artifacts/*/*",
)


def kill_at(env: dict[str, str], home: Path, sign: str, parameters: list[str]) -> None:
    known = set(home.glob(sign))
    command = [sys.executable, "-m", "flows.cli", "retrain", *parameters]
    process = subprocess.Popen(
        command, env=env | {"MARQUEE_HOME": str(home)}, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    while process.poll() is None and not set(home.glob(sign)) - known:
        time.sleep(0.002)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)  # its other processes too, as the machine's death would
    process.wait()
    assert process.returncode == -signal.SIGKILL, f"{sign} never showed; exit code {process.returncode}"


def retrain(env: dict[str, str], home: Path) -> str:
    """What a whole run by a process of its own prints: torch reads OMP_NUM_THREADS when it is imported."""
    command = [sys.executable, "-m", "flows.cli", "retrain", *changes(**STEPS)]
    done = subprocess.run(
        command, env=env | {"MARQUEE_HOME": str(home)}, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def contents(home: Path) -> dict[str, set[tuple[str, str]]]:
    """Digests and content hashes by kind; without the latter where measured times are a part of the content."""
    store = ArtifactStore(home / "artifacts")
    kinds = [path.name for path in (home / "artifacts").iterdir()]
    return {
        kind: {(manifest.digest, manifest.sha256 * (kind not in MEASURED)) for manifest in store.manifests(kind)}
        for kind in kinds
    }


@pytest.mark.nightly  # `make test` kills a training at one place in test_kill_training.py
def test_killed_in_training(small_run: SmallRun, prefect_env: dict[str, str], marquee: Marquee, tmp_path: Path) -> None:
    home = tmp_path / "home"
    kill_at(prefect_env, home, "checkpoints/*/step-*.pt", changes())
    before = {path: path.read_text() for path in (home / "artifacts").glob("*/[!.]*/manifest.json")}
    assert before
    marquee("retrain", *changes())
    assert all(path.read_text() == text for path, text in before.items()), "what was finished before was made again"
    assert not list(home.rglob(".draft.*"))
    assert contents(home) == contents(small_run.home)


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_killed_in_every_stage(prefect_env: dict[str, str], tmp_path: Path) -> None:
    home, env = tmp_path / "killed", prefect_env | THREADS
    made: dict[Path, str] = {}
    store = ArtifactStore(home / "artifacts")
    for sign in SIGNS:
        kill_at(env, home, sign, changes(**STEPS))
        whole = {path: path.read_text() for path in (home / "artifacts").glob("*/[!.]*/manifest.json")}
        assert made.items() <= whole.items(), "what was finished before was made again"
        made = whole
        for path in made:
            assert store.find(path.parent.parent.name, path.parent.name) is not None
    assert "PUBLISHED=" in retrain(env, home)
    assert (
        made.items() <= {path: path.read_text() for path in (home / "artifacts").glob("*/[!.]*/manifest.json")}.items()
    )
    assert not list(home.rglob(".draft.*"))
    retrain(env, tmp_path / "whole")
    assert contents(home) == contents(tmp_path / "whole")
