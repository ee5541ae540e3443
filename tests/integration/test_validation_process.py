"""The process that validates tables: it ends with its parent, its death is reported, and it starts only if a table is new."""

import errno
import multiprocessing.spawn
import multiprocessing.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from tests_support import REPOSITORY

from expectations.movies import movies_suite
from expectations.validation_process import ValidationProcess, ValidationProcessError
from storage.artifacts.store import Draft
from tasks.caching import artifact_task, before_work


def movies_frame(rows: int = 5) -> pd.DataFrame:
    titles = [f"Film {row}" for row in range(rows)]
    frame = pd.DataFrame({"movie_id": range(rows), "title": titles, "tmdb_id": range(rows)})
    return frame.assign(year=1999, has_metadata=True)


@pytest.fixture
def started() -> Iterator[Callable[[], set[psutil.Process]]]:
    """The processes that validate tables and that this process has started since the test began; none may be left."""
    resource_tracker.ensure_running()  # multiprocessing's helper, which lives as long as this process
    before = set(psutil.Process().children())
    yield lambda: set(psutil.Process().children()) - before
    assert set(psutil.Process().children()) <= before


def test_a_killed_process_is_reported_and_followed_by_another(
    started: Callable[[], set[psutil.Process]], tmp_path: Path
) -> None:
    with ValidationProcess() as process:
        process.start()
        (mine,) = started()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(process.validate, movies_suite, movies_frame(), tmp_path)
            time.sleep(0.3)
            mine.kill()
            with pytest.raises(
                ValidationProcessError, match=r"expectations\.movies: expected a result; .* has ended.*memory"
            ):
                asked.result(600)
        assert process.validate(movies_suite, movies_frame(), tmp_path).passed
        (other,) = started()
        other.kill()
        other.wait(600)
        assert process.validate(movies_suite, movies_frame(), tmp_path).passed


def test_a_process_that_cannot_be_started_is_reported(
    started: Callable[[], set[psutil.Process]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(multiprocessing.util, "spawnv_passfds", refuse)
    with (
        ValidationProcess() as process,
        pytest.raises(ValidationProcessError, match=r"expected to start .* Resource temporarily .* run again"),
    ):
        process.start()


def test_a_process_that_ends_as_it_starts_is_reported(
    started: Callable[[], set[psutil.Process]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", os.fsencode(program))
    with ValidationProcess() as process:
        process.start()
        with pytest.raises(ValidationProcessError, match=r"expectations\.movies: .* has ended"):
            process.validate(movies_suite, movies_frame(), tmp_path)


def test_its_prints_do_not_reach_the_output_of_the_parent(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from expectations.validation_process import ValidationProcess\n"
        "def printing():\n    print('loud')\n    raise LookupError('no suite')\n"
        "if __name__ == '__main__':\n"
        "    with ValidationProcess() as process:\n"
        "        process.validate(printing, None, __import__('pathlib').Path())\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert "LookupError: no suite" in done.stderr
    assert "loud" in done.stderr
    assert done.stdout == ""


def test_a_result_nobody_waited_for_is_not_taken_for_the_next_one(
    started: Callable[[], set[psutil.Process]], tmp_path: Path
) -> None:
    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with ValidationProcess() as process:
            signal.setitimer(signal.ITIMER_REAL, 0.5)  # while it imports
            with pytest.raises(KeyboardInterrupt):
                process.validate(movies_suite, movies_frame(5), tmp_path)
            assert process.validate(movies_suite, movies_frame(7), tmp_path).rows == 7
    finally:
        signal.signal(signal.SIGALRM, before)


ENDS = {
    "while it imports": "PROCESS.end()",
    "while it is idle": "PROCESS.validate(movies_suite, frame, folder); PROCESS.end()",
    "by an error": "raise SystemExit(1)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
}
SCRIPT = """
import os, signal
from multiprocessing import resource_tracker
from pathlib import Path
import pandas as pd
import psutil
from expectations.validation_process import ValidationProcess
from expectations.movies import movies_suite

frame, folder = pd.DataFrame({{"movie_id": [1], "title": ["a"], "tmdb_id": [1], "year": [2000], "has_metadata": [True]}}), Path({folder!r})
PROCESS = ValidationProcess()
PROCESS.start()
(child,) = [one for one in psutil.Process().children() if one.pid != resource_tracker._resource_tracker._pid]
print(child.pid, flush=True)
{end}
print(psutil.pid_exists(child.pid))
"""


@pytest.mark.parametrize("how", ENDS)
def test_it_ends_when_it_is_told_to_and_does_not_outlive_its_parent(tmp_path: Path, how: str) -> None:
    script = SCRIPT.format(folder=str(tmp_path), end=ENDS[how])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == {"by an error": 1, "killed": -signal.SIGKILL}.get(how, 0), done.stderr
    pid, *outlives = done.stdout.split()
    assert outlives in ([], ["False"])
    assert "Error" not in done.stderr
    deadline = time.monotonic() + 600
    while psutil.pid_exists(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(int(pid))


def test_flows_do_not_import_great_expectations_and_validate_only_beside_work(tmp_path: Path) -> None:
    script = """
import sys
import flows.build_dataset, flows.cli, psutil
import tasks.gates
from tasks.caching import before_work
from tasks.fingerprint import code_fingerprint
from tasks.gates import validating

with validating():
    assert not psutil.Process().children()
    before_work.get()()
    assert len(psutil.Process().children()) == 2  # and multiprocessing's helper, which stays
before_work.get()()
assert len(psutil.Process().children()) == 1
for table in ("movies", "events", "items", "transitions"):
    code_fingerprint(getattr(tasks.gates, f"validate_{table}"))
assert "great_expectations" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr


@artifact_task("toy")
def make_toy(draft: Draft, size: int) -> None:
    (draft.path / "toy").write_text("x" * size)


def test_work_begins_where_an_artifact_is_missing(prefect_here: None, tmp_path: Path) -> None:
    begun: list[Path] = []
    token = before_work.set(lambda: begun.extend(tmp_path.glob("artifacts/toy/*")))  # what is there by then
    try:
        assert make_toy(1) == make_toy(1)
        assert begun == []
        make_toy(2)
        assert len(begun) == 1
        make_toy(2)
        assert len(begun) == 1
    finally:
        before_work.reset(token)
