"""SIGKILL in the middle of each optimiser's stage; the resumed run ends in the same bits as one that was never killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from crash.training_support import StoppedError, train
from tests_support import REPOSITORY

from models import threads
from storage.checkpoints import Checkpoints

SCRIPT = str(Path(__file__).with_name("training_support.py"))


def start(folder: Path, pause: float) -> subprocess.Popen[bytes]:
    env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen([sys.executable, SCRIPT, str(folder), str(pause)], env=env)


def end_of(folder: Path) -> dict[str, object]:
    process = start(folder, 0)
    assert process.wait(600) == 0
    found = Checkpoints(folder).load_latest()
    assert found is not None
    assert found[0] == 99
    return found[1]


@pytest.mark.parametrize("steps", [(24,), pytest.param((6, 24, 33), marks=pytest.mark.nightly)], ids=["once", "thrice"])
def test_killed_in_the_stages_of_training(tmp_path: Path, steps: tuple[int, ...]) -> None:
    folder = tmp_path / "killed"
    for step in steps:  # 6 is in the first stage, 24 and 33 in the second
        process = start(folder, 0.05)
        while not (folder / f"step-{step:09d}.pt").exists():
            assert process.poll() is None, "training ended before it was killed"
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    killed, whole = end_of(folder), end_of(tmp_path / "whole")
    assert whole["stage_starts"] == [0, 20]
    assert whole["best_step"] == 30
    assert_same(killed, whole)


@pytest.fixture
def one_thread() -> Iterator[None]:
    with threads.one_thread():
        yield


@pytest.mark.parametrize("until", [6, 24])  # in the first stage, in the second
def test_a_damaged_checkpoint_costs_only_the_way_from_the_one_before(
    one_thread: None, tmp_path: Path, caplog: pytest.LogCaptureFixture, until: int
) -> None:
    whole, folder, rng = train(tmp_path / "whole"), tmp_path / "damaged", np.random.default_rng(until)
    with pytest.raises(StoppedError):
        train(folder, until=until)
    newest = folder / f"step-{until:09d}.pt"
    flipped = bytearray(newest.read_bytes())
    flipped[rng.integers(len(flipped))] ^= 1 << int(rng.integers(8))
    newest.write_bytes(flipped)
    assert_same(train(folder), whole)
    assert f"{newest} is damaged and removed" in caplog.text


def assert_same(a: object, b: object) -> None:
    if isinstance(a, torch.Tensor):
        assert isinstance(b, torch.Tensor)
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert isinstance(b, dict)
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert isinstance(b, list | tuple)
        for left, right in zip(a, b, strict=True):
            assert_same(left, right)
    else:
        assert a == b
