"""Processes that each make one artifact: what they send, and how they end."""

import logging
import multiprocessing
import os
import pickle
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import work_process_support as work

import tasks.work_process
from models.errors import DivergenceError
from storage.artifacts.store import Draft
from storage.errors import MarqueeError
from tasks.work_process import WorkProcessError, WorkProcesses, fill_for_owner, portable


@pytest.fixture
def others() -> set[Any]:
    """The processes that earlier tests have left to this one, for instance Great Expectations' own."""
    return set(multiprocessing.active_children())


def test_progress_log_facts_and_files_come_from_a_process_with_its_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, others: set[Any]
) -> None:
    shown: list[Any] = []

    def begin(*what: str) -> SimpleNamespace:
        shown.append(what)
        return SimpleNamespace(show=lambda *state: shown.append(state[:2]))

    monkeypatch.setattr(tasks.work_process, "Progress", begin)
    caplog.set_level(logging.INFO, "marquee.toy")
    draft = Draft(tmp_path, "digest")
    WorkProcesses(3, fill_for_owner).work(work.fill_well, draft, {"text": "hello"})
    assert (tmp_path / "text").read_text() == "hello"
    assert (draft.rows, draft.facts["threads"]) == (2, 3)
    assert draft.facts["process"] != os.getpid()
    assert shown == [("toy", "Writing"), (1, 2), (2, 2)]
    assert caplog.messages == ["half of hello"]
    assert set(multiprocessing.active_children()) <= others


def test_a_failed_a_killed_and_a_stopped_process_are_told_apart(tmp_path: Path, others: set[Any]) -> None:
    processes = WorkProcesses(1, fill_for_owner)
    with ThreadPoolExecutor(4) as threads:
        failed, killed, silent, busy = (
            threads.submit(processes.work, function, Draft(tmp_path, "digest"), {})
            for function in (work.fill_badly, work.be_killed, work.wait_for_ever, work.log_for_ever)
        )
        errors = failed.exception(600), killed.exception(600)
        for name, one in (("waiting", silent), ("logging", busy)):
            while not (tmp_path / name).exists() and not one.done():
                time.sleep(0.1)
        processes.stop()
        assert isinstance(errors[0], MarqueeError)
        assert str(errors[0]) == "OddError: expected a and found b"
        assert "in fill_badly" in errors[0].__notes__[0]
        assert isinstance(errors[1], WorkProcessError)
        assert re.search(r"be_killed: expected an artifact; .* code -9. .*memory", str(errors[1]))
        for stopped in (silent, busy):
            with pytest.raises(WorkProcessError, match="the flow has been stopped"):
                stopped.result(600)
    assert set(multiprocessing.active_children()) <= others


def test_an_error_of_several_arguments_is_copied_whole() -> None:
    error = DivergenceError("diverged", 7, "train value_logged", 2e4, 1e4, 3)
    copied = pickle.loads(pickle.dumps(portable(error)))  # noqa: S301
    assert isinstance(copied, DivergenceError)
    assert (str(copied), copied.step, copied.best_step) == ("diverged", 7, 3)
