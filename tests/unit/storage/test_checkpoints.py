import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from storage.checkpoints import Checkpoints
from storage.errors import CheckpointError


def test_newest_wins_and_old_ones_go(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "run", keep=2)
    assert checkpoints.load_latest() is None
    for step in (5, 10, 15):
        checkpoints.save(step, {"step": step, "weights": torch.arange(3.0) * step})
    found = checkpoints.load_latest()
    assert found is not None
    assert found[0] == 15
    assert torch.equal(found[1]["weights"], torch.arange(3.0) * 15)
    assert len(list((tmp_path / "run").iterdir())) == 2
    checkpoints.clear()
    assert checkpoints.load_latest() is None


def test_torn_newest_falls_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"step": 1})
    newest = checkpoints.save(2, {"step": 2})
    newest.write_bytes(newest.read_bytes()[:100])
    found = checkpoints.load_latest()
    assert found is not None
    assert found[0] == 1
    assert "damaged" in caplog.text


def test_foreign_pickles_are_never_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (eval, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    with (tmp_path / "step-000000003.pt").open("wb") as stream:
        pickle.dump(Evil(), stream)
    with pytest.raises(CheckpointError, match="tensors and plain values"):
        Checkpoints(tmp_path).load_latest()
    assert not (tmp_path / "ran").exists()


SAVER = """
import sys, torch
from pathlib import Path
from storage.checkpoints import Checkpoints
checkpoints = Checkpoints(Path(sys.argv[1]))
for step in range(1, 100000):
    checkpoints.save(step, {"step": step, "weights": torch.full((200_000,), float(step))})
"""


def test_killed_while_saving_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SAVER, str(tmp_path)])
    while not list(tmp_path.glob("step-*.pt")) and process.poll() is None:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = Checkpoints(tmp_path).load_latest()
    assert found is not None
    assert torch.equal(found[1]["weights"], torch.full((200_000,), float(found[0])))
