"""The progress of a long task: in the Prefect UI, and as a bar in a terminal or as log lines elsewhere."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from tasks.terminal import terminal

logger = logging.getLogger("marquee.progress")
SECONDS_PER_UPDATE = 1.0  # of the UI, so that progress does not slow the work down
SECONDS_PER_LINE = 20.0  # of the log

_numbers = count()
_relays: list[Callable[..., object]] = []


def relay_progress(send: Callable[..., object]) -> None:
    """In a process that works for another one: show all progress there.

    Args:
        send: called with "begin", a number for each `Progress`, and its arguments; then with "show", that number, and the
            arguments of `Progress.show`.
    """
    _relays.append(send)


class Progress:
    """One progress artifact of the running task.

    Args:
        key: of the artifact.
        description: what is being done.
    """

    def __init__(self, key: str, description: str) -> None:
        self._description, self._done, self._number = description, 0, next(_numbers)
        if _relays:
            _relays[-1]("begin", self._number, key, description)
            return
        self._id = cast(UUID, create_progress_artifact(0.0, key=key, description=description))
        self._began = self._updated = self._logged = time.monotonic()
        self._first: tuple[int, float] | None = None
        self._terminal = terminal()
        self._bar = self._terminal.begin(description) if self._terminal else None

    def show(self, done: int, total: int, description: str | None = None) -> None:
        """Show that `done` of `total` is done, and set the text beside the bar in the UI if one is given."""
        if _relays:
            _relays[-1]("show", self._number, done, total, description)
            return
        now, finished = time.monotonic(), done >= total
        if self._first is None:
            self._first = (done, now)  # what an earlier run had done does not count for the rate
        before, since = self._first
        text = "" if finished else pace(done - before, total - done, now - since)
        if finished or now - self._updated >= SECONDS_PER_UPDATE:
            self._updated = now
            update_progress_artifact(self._id, round(100 * done / max(total, 1), 1), description=description)
        if self._terminal and self._bar is not None:
            self._terminal.move(self._bar, done, total, text)
        if now - self._logged >= SECONDS_PER_LINE or (finished and now - self._began >= SECONDS_PER_LINE):
            self._logged = now
            text = text or f"took {timedelta(seconds=round(now - self._began))}"
            logger.info("%s: %s of %s, %s", self._description, f"{done:,}", f"{total:,}", text)

    def step(self, total: int) -> None:
        """Count one more of `total` steps, or of the steps so far if they are more."""
        self._done += 1
        self.show(self._done, max(total, self._done))


def pace(done: int, left: int, seconds: float) -> str:
    """The rate of some work, and about how long the rest takes; "" before there is a rate."""
    if done <= 0 or seconds <= 0:
        return ""
    rate = done / seconds
    shown = f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:,.1f} s each"
    return f"{shown}, {timedelta(seconds=round(left / rate))} left"
