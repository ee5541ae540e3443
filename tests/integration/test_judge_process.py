"""The judge's process: its end goes unnoticed no more than ours, and no flow pays for it that has nothing to judge."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from prefect.testing.utilities import prefect_test_harness

from expectations.judge_process import JudgeError, JudgeProcess
from storage.artifacts.store import Draft
from tasks.caching import artifact_task, before_work


def movies_frame(rows: int = 5) -> pd.DataFrame:
    titles = [f"Film {row}" for row in range(rows)]
    frame = pd.DataFrame({"movie_id": range(rows), "title": titles, "tmdb_id": range(rows)})
    return frame.assign(year=1999, has_metadata=True)


@pytest.fixture
def started() -> Iterator[Callable[[], set[psutil.Process]]]:
    """The children, zombies among them, that this process has since the test began; none may be left."""
    before = set(psutil.Process().children())
    yield lambda: set(psutil.Process().children()) - before
    assert set(psutil.Process().children()) <= before


def test_a_killed_process_is_told_and_followed_by_another(
    started: Callable[[], set[psutil.Process]], tmp_path: Path
) -> None:
    with JudgeProcess() as process:
        process.start()
        (mine,) = started()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(process.judge, "expectations.movies", movies_frame(), tmp_path)
            time.sleep(0.3)
            mine.kill()
            with pytest.raises(JudgeError, match=r"exit code -9 \(SIGKILL\).*\n.*memory"):
                asked.result(30)
        assert process.judge("expectations.movies", movies_frame(), tmp_path).passed
        (other,) = started()
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # all its threads, not the first alone
        assert process.judge("expectations.movies", movies_frame(), tmp_path).passed


def test_a_process_that_does_not_start_is_told(started: Callable[[], set[psutil.Process]], tmp_path: Path) -> None:
    with JudgeProcess("/nowhere/python") as process, pytest.raises(JudgeError, match=r"No such file.*\n*.*run again"):
        process.start()
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho no such package >&2; exit 3\n")
    program.chmod(0o755)
    with JudgeProcess(str(program)) as process:
        process.start()
        with pytest.raises(JudgeError, match=r"(?s)exit code 3.*no such package.*Run again"):
            process.judge("expectations.movies", movies_frame(), tmp_path)


def test_prints_are_not_taken_for_answers(
    started: Callable[[], set[psutil.Process]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("print({'verdict': None}, flush=True)")
    monkeypatch.syspath_prepend(tmp_path)
    with JudgeProcess() as process:
        assert process.judge("expectations.movies", movies_frame(), tmp_path).passed


def test_an_answer_nobody_waited_for_is_not_taken_for_the_next_one(
    started: Callable[[], set[psutil.Process]], tmp_path: Path
) -> None:
    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with JudgeProcess() as process:
            signal.setitimer(signal.ITIMER_REAL, 0.5)  # while it imports
            with pytest.raises(KeyboardInterrupt):
                process.judge("expectations.movies", movies_frame(5), tmp_path)
            assert not started()
            assert process.judge("expectations.movies", movies_frame(7), tmp_path).rows == 7
    finally:
        signal.signal(signal.SIGALRM, before)


ENDS = {
    "a flow's end while it imports": "",
    "while it is idle": "JUDGE.judge('expectations.movies', frame, folder)",
    "by an error": "raise SystemExit(1)",
    "killed": "import signal; os.kill(os.getpid(), signal.SIGKILL)",
}
SCRIPT = """
import os, sys, time
from pathlib import Path
import pandas as pd
import psutil
from tasks.gates import JUDGE

frame, folder = pd.DataFrame({{"movie_id": [1], "title": ["a"], "tmdb_id": [1], "year": [2000], "has_metadata": [True]}}), Path({folder!r})
JUDGE.start()  # {how}
(child,) = psutil.Process().children()
print(child.pid, flush=True)
{end}
print(time.time())
"""


@pytest.mark.parametrize("how", ENDS)
def test_it_does_not_outlive_its_parent_nor_hold_it_up(tmp_path: Path, how: str) -> None:
    script = SCRIPT.format(folder=str(tmp_path), how=how, end=ENDS[how])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    ended = time.time()
    assert done.returncode == {"by an error": 1, "killed": -signal.SIGKILL}.get(how, 0), done.stderr
    pid, *last = done.stdout.split()
    for moment in last:
        assert ended - float(moment) < 2
    deadline = time.monotonic() + (30 if how == "killed" else 0)  # it looks up once it has imported
    while psutil.pid_exists(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(int(pid))


def test_flows_do_not_import_great_expectations_and_judge_only_beside_work(tmp_path: Path) -> None:
    script = """
import sys
import flows.build_dataset, flows.cli, psutil
import tasks.gates
from tasks.caching import before_work
from tasks.fingerprint import code_fingerprint
from tasks.gates import judging

with judging():
    assert not psutil.Process().children()
    before_work.get()()
    assert len(psutil.Process().children()) == 1
before_work.get()()
assert not psutil.Process().children()
for table in ("movies", "events", "items", "transitions"):
    code_fingerprint(getattr(tasks.gates, f"judge_{table}"))
assert "great_expectations" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@artifact_task("toy")
def make_toy(draft: Draft, size: int) -> None:
    (draft.path / "toy").write_text("x" * size)


def test_work_begins_where_an_artifact_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path))
    begun: list[Path] = []
    token = before_work.set(lambda: begun.extend(tmp_path.glob("artifacts/toy/*")))  # what is there by then
    try:
        with prefect_test_harness(server_startup_timeout=120):
            assert make_toy(1) == make_toy(1)
            assert begun == []
            make_toy(2)
            assert len(begun) == 1
            make_toy(2)
            assert len(begun) == 1
    finally:
        before_work.reset(token)
