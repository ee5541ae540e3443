"""SIGKILL in the middle of each optimiser's stage; the resumed run ends in the same bits as one that was never killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests_support import REPOSITORY

from storage.checkpoints import Checkpoints

TRAINING = """
import sys, time
from pathlib import Path
import torch
from models.batch import Batch
from models.learners.registry import make_learner
from models.learners.td3_bc import TD3BCConfig
from models.sampling import UniformSampler
from models.space import Space
from models.trainer import Trainer
from models.trainer_config import TrainerConfig
from storage.checkpoints import Checkpoints

torch.set_num_threads(1)
folder, pause = Path(sys.argv[1]), float(sys.argv[2])
config = TrainerConfig(
    steps=60, batch_size=8, log_every=5, validate_every=5, checkpoint_every=3, patience=2, stages=("radam", "adam")
)
scores = [0.1, 0.3, 0.2, 0.2, 0.1, 0.4, 0.3, 0.2]  # turns at update 20, and again at 40
learner = make_learner(TD3BCConfig(hidden_dim=16), Space(3, 2, 1.0, -4.0, 5.0), "cpu", 0)

def gather(starts):
    time.sleep(pause)
    x = starts.float().unsqueeze(1)
    return Batch(x.sin().repeat(1, 3), x.cos().repeat(1, 2), x[:, 0].sin(), x.cos().repeat(1, 3), torch.zeros(len(x)))

run = Trainer(
    learner, UniformSampler(torch.arange(50), 8, 3), gather,
    lambda: {"ndcg@10": scores[run.step // 5 - 1], **{name: float(loss) for name, loss in learner.losses(held_out).items()}},
    config,
)
held_out = gather(torch.arange(20))
checkpoints = Checkpoints(folder)
if (found := checkpoints.load_latest()) is not None:
    run.load_state_dict(found[1])
run.run(lambda *_: None, checkpoints.save)
checkpoints.save(99, run.state_dict())
"""


def start(folder: Path, pause: float) -> subprocess.Popen[bytes]:
    env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen([sys.executable, "-c", TRAINING, str(folder), str(pause)], env=env)


def end_of(folder: Path) -> dict[str, object]:
    process = start(folder, 0)
    assert process.wait(240) == 0
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
