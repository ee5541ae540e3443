import hashlib
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from storage.checkpoints import FORMAT, Checkpoints
from storage.errors import CheckpointError


def test_newest_wins_and_old_ones_go(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "run")
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


def two(folder: Path) -> tuple[Checkpoints, Path]:
    """Two checkpoints, and the path of the newest."""
    checkpoints = Checkpoints(folder)
    for step in (1, 2):
        path = checkpoints.save(step, {"step": step, "weights": torch.arange(50.0) * step, "best_score": 0.5})
    return checkpoints, path


def falls_back(checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture) -> bool:
    caplog.clear()
    found = checkpoints.load_latest()
    assert found is not None
    return (
        (found[0], found[1]["step"]) == (1, 1)
        and torch.equal(found[1]["weights"], torch.arange(50.0))
        and "is damaged and removed" in caplog.text
    )


def test_every_flipped_bit_is_detected(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoints, newest = two(tmp_path)
    whole = newest.read_bytes()
    bits = np.random.default_rng(0).choice(8 * len(whole), 300, replace=False)
    edges = [*range(8 * len(FORMAT) + 32), *range(8 * len(whole) - 8, 8 * len(whole))]
    for bit in [*edges, *bits.tolist()]:
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        newest.write_bytes(flipped)
        assert falls_back(checkpoints, caplog), bit
        assert not newest.exists(), "a damaged one must not count as one of the two that are kept"


@given(st.data())
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_cut_and_every_overwritten_stretch_is_detected(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    checkpoints, newest = two(tmp_path)
    whole = newest.read_bytes()
    begin = data.draw(st.integers(0, len(whole) - 1))
    new = data.draw(st.one_of(st.just(b""), st.binary(min_size=1, max_size=40)))
    damaged = whole[:begin] + (new + whole[begin + len(new) :] if new else b"")
    assume(damaged != whole)
    newest.write_bytes(damaged)
    assert falls_back(checkpoints, caplog)


def test_if_all_are_damaged_there_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoints, _ = two(tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    assert checkpoints.load_latest() is None
    assert caplog.text.count("is damaged and removed") == 2


def test_files_of_other_formats_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "step-000000003.pt"
    torch.save({"step": 3}, path)  # as versions before marquee-checkpoint/1 did
    with pytest.raises(CheckpointError, match="expected marquee-checkpoint/1; found 'a file without checksum"):
        Checkpoints(tmp_path).load_latest()
    path.write_bytes(with_checksum(b"marquee-checkpoint/9\n..."))
    with pytest.raises(CheckpointError, match="expected marquee-checkpoint/1; found b'marquee-checkpoint/9"):
        Checkpoints(tmp_path).load_latest()


def with_checksum(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()


@pytest.mark.parametrize("whole", [True, False], ids=["with checksum", "without"])
def test_foreign_pickles_are_never_run(tmp_path: Path, whole: bool) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (eval, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    path = tmp_path / "step-000000003.pt"
    path.write_bytes(with_checksum(FORMAT + pickle.dumps(Evil(), 2)) if whole else pickle.dumps(Evil(), 2))
    if whole:
        with pytest.raises(CheckpointError, match="tensors and plain values"):
            Checkpoints(tmp_path).load_latest()
    else:
        assert Checkpoints(tmp_path).load_latest() is None
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_that_another_run_removes_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints, newest = two(tmp_path)
    seen = checkpoints._newest_first()
    newest.unlink()
    monkeypatch.setattr(checkpoints, "_newest_first", lambda: seen)
    found = checkpoints.load_latest()
    assert found is not None
    assert found[0] == 1
    assert not caplog.text


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
    (tmp_path / ".draft.killed").mkdir()
    (tmp_path / ".draft.killed" / ".lock").touch()
    checkpoints = Checkpoints(tmp_path)
    found = checkpoints.load_latest()
    assert found is not None
    assert torch.equal(found[1]["weights"], torch.full((200_000,), float(found[0])))
    checkpoints.save(found[0] + 1, {})
    assert not list(tmp_path.glob(".*")), "the next save removes what a killed one left"
    (tmp_path / ".draft.killed").mkdir()
    checkpoints.clear()
    assert not tmp_path.exists()
