"""Progress of long tasks: bars in a terminal, few log lines elsewhere."""

import io
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from prefect.logging.configuration import setup_logging
from prefect.logging.handlers import PrefectConsoleHandler
from rich.console import Console
from rich.progress import TaskID

import tasks.progress
from storage.errors import SourceError
from tasks.progress import Progress, pace
from tasks.terminal import in_terminal, terminal, worth_showing


class Clock:
    """Time that a test moves."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(tasks.progress, "time", made)
    return made


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the UI was told; there is no Prefect server here."""
    told: list[float] = []

    def update(_id: Any, progress: float, description: str | None) -> None:
        told.append(progress)

    monkeypatch.setattr(tasks.progress, "create_progress_artifact", lambda *_, **__: uuid4())
    monkeypatch.setattr(tasks.progress, "update_progress_artifact", update)
    return told


@pytest.mark.parametrize(
    ("done", "left", "seconds", "text"),
    [
        (0, 10, 5.0, ""),
        (10, 10, 0.0, ""),
        (500, 1000, 10.0, "50/s, 0:00:20 left"),
        (12, 6, 4.0, "3.0/s, 0:00:02 left"),
        (2, 3600, 4.0, "2.0 s each, 2:00:00 left"),
    ],
)
def test_rate_and_time_left(done: int, left: int, seconds: float, text: str) -> None:
    assert pace(done, left, seconds) == text


def test_the_ui_is_told_once_a_second_and_at_the_end(clock: Clock, updates: list[float]) -> None:
    progress = Progress("key", "Working")
    for done in range(1, 1001):
        clock.now += 0.01
        progress.show(done, 1000)
    assert 8 <= len(updates) <= 11
    assert updates[-1] == 100


def test_few_log_lines_where_there_is_no_terminal(
    clock: Clock, updates: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """A quick task logs nothing. A slow one logs a line now and then, with rate and time left, and one at its end."""
    assert terminal() is None
    caplog.set_level(logging.INFO, "marquee.progress")
    quick = Progress("quick", "Quick")
    quick.show(5, 5)
    assert caplog.messages == []
    slow = Progress("slow", "Slow")
    for done in range(100, 1100, 10):  # an earlier run had done 90
        clock.now += 1.0
        slow.show(done, 1090)
    assert len(caplog.messages) == 5
    assert caplog.messages[0] == "Slow: 290 of 1,090, 10/s, 0:01:20 left"
    assert caplog.messages[-1] == "Slow: 1,090 of 1,090, took 0:01:40"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal in the place of Prefect's console."""
    setup_logging()  # anew where another library has configured logging since
    (handler, *_) = [one for one in logging.getLogger().handlers if isinstance(one, PrefectConsoleHandler)]
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, force_interactive=True, width=120, theme=None)
    monkeypatch.setattr(handler, "console", console)
    return written


def test_a_terminal_shows_a_bar_and_warnings_but_no_information(
    screen: io.StringIO, clock: Clock, updates: list[float]
) -> None:
    log = logging.getLogger("marquee.test")
    log.setLevel(logging.INFO)
    with in_terminal():
        shown = terminal()
        assert shown is not None
        shown.begin("texts")
        progress = Progress("encode", "Texts encoded")
        progress.show(10, 1000)
        clock.now += 2.0
        progress.show(70, 1000)
        shown.bars.refresh()
        log.info("an information")
        log.warning("a warning")
        shown.line("build-dataset", "  texts  made")
    assert terminal() is None
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue())
    assert re.search(r"Texts encoded .*70 of 1,000 .*30/s, 0:00:31 left", text)
    assert "a warning" in text
    assert "an information" not in text
    assert "build-dataset\n" in text
    screen.seek(0)
    log.info("after the run")
    assert "after the run" in screen.getvalue()


def test_steps_in_threads_of_their_own_have_bars_of_their_own(screen: io.StringIO) -> None:
    with in_terminal(), ThreadPoolExecutor(2) as threads:
        shown = terminal()
        assert shown is not None
        together = Barrier(2)

        def step(name: str) -> TaskID:
            together.wait(600)
            shown.begin("policy")
            return shown.begin(name)

        td3, ddpg = threads.map(step, ("td3", "ddpg"))
        assert {td3, ddpg} <= set(shown.bars.task_ids)
        assert len(shown.bars.task_ids) == 3  # and this thread's
        shown.clear()
        assert set(shown.bars.task_ids) == {td3, ddpg}


def test_no_bars_where_nothing_can_move_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    setup_logging()  # anew where another library has configured logging since
    (handler, *_) = [one for one in logging.getLogger().handlers if isinstance(one, PrefectConsoleHandler)]
    monkeypatch.setattr(handler, "console", Console(file=io.StringIO()))
    with in_terminal():
        assert terminal() is None


def test_an_error_that_the_command_prints_is_not_shown_twice() -> None:
    def record(level: int, error: Exception | None) -> logging.LogRecord:
        info = (type(error), error, None) if error else None
        return logging.LogRecord("prefect.task_runs", level, "", 0, "failed", (), info)

    assert not worth_showing(record(logging.INFO, None))
    assert worth_showing(record(logging.ERROR, None))
    assert worth_showing(record(logging.ERROR, KeyError("x")))
    assert not worth_showing(record(logging.ERROR, SourceError("x")))
