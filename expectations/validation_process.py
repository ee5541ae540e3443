"""Validate tables in a second process, which imports Great Expectations while this process does other work.

The import takes seconds. The process is a pool of one worker; tables and results are pickled between our own processes.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from expectations.validation_result import ValidationResult
from storage.errors import MarqueeError
from storage.lifeline import exit_with

if TYPE_CHECKING:  # the process imports this module first, and it must start quickly
    import great_expectations as gx
    import pandas as pd

R = TypeVar("R")


class ValidationProcessError(MarqueeError):
    """The process that validates tables could not start, has ended, or could not validate a table."""


class Running(NamedTuple):
    """A pool of one process, and a pipe to it: when one side ends or closes its end, the other side notices."""

    pool: ProcessPoolExecutor
    lifeline: Connection


class ValidationProcess:
    """At most one process that validates tables; it is started when it is needed, and threads take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Running | None = None
        self._last: Future[Any] = Future()  # what the process was asked to do last

    def start(self) -> None:
        """Let the process begin to import, and return at once; if it runs already, nothing happens.

        Raises:
            ValidationProcessError: it cannot be started.
        """
        if self._lock.acquire(blocking=False):  # otherwise another thread validates a table, so it runs
            try:
                if self._running is None:
                    self._start()
            finally:
                self._lock.release()

    def validate(
        self, suite: Callable[..., "gx.ExpectationSuite"], frame: "pd.DataFrame", folder: Path, **parameters: Any
    ) -> ValidationResult:
        """Validate a table in the process; see `expectations.validate.validate`.

        Args:
            suite: a function of a module, which makes the suite in the process.
            frame: the table.
            folder: where the record is written.
            parameters: the arguments of `suite`.

        Raises:
            ValidationProcessError: the process cannot be started, ended before it answered, or could not validate the table.
            OSError: the record could not be written.
        """
        with self._lock:
            try:
                return self._submit(run_validation, suite, parameters, frame, folder.absolute()).result()
            except BrokenProcessPool as error:
                self._end()
                raise ValidationProcessError(
                    f"{suite.__module__}: expected a result; the process that validates tables has ended. "
                    "What it printed last, above, may say why. If it printed nothing, memory probably ran out: free some. "
                    "An import error means that a package is missing: install Marquee's requirements. A script that runs "
                    'a flow must do so below `if __name__ == "__main__":`. Then run again; finished steps are kept.'
                ) from error

    def end(self) -> None:
        """End the process, if it runs, once no other thread is validating a table."""
        with self._lock:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def _submit(self, function: Callable[..., R], *arguments: Any) -> Future[R]:
        if self._running is not None and self._running.lifeline.poll():  # nobody sends: the process has ended
            self._end()
        if self._running is None:
            self._start()
        assert self._running is not None  # noqa: S101
        self._last = self._running.pool.submit(function, *arguments)
        return self._last

    def _start(self) -> None:
        ours, its = multiprocessing.Pipe()
        self._running = Running(ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), prepare, (its,)), ours)
        try:
            self._last = self._running.pool.submit(os.getpid)  # a pool starts its process with the first request
        except OSError as error:
            self._end()
            raise ValidationProcessError(
                f"expected to start a process that validates tables; found: {error}. Free memory or processes; run again."
            ) from error
        finally:
            its.close()  # the process has a copy

    def _end(self) -> None:
        if self._running is not None:
            running, self._running = self._running, None
            if not self._last.done():  # nobody waits for what it does, which may be the import
                running.lifeline.close()
            running.pool.shutdown(cancel_futures=True)
            running.lifeline.close()


def prepare(lifeline: Connection) -> None:
    """In the process: import Great Expectations, and end when the other end of the pipe is closed.

    Args:
        lifeline: nothing is sent through it. The pool alone would not end this process if its parent were killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    sys.stdout = sys.stderr  # the parent's output ends with lines for scripts
    threading.Thread(target=exit_with, args=(lifeline,), daemon=True).start()
    import expectations.validate  # noqa: F401


def run_validation(
    suite: Callable[..., "gx.ExpectationSuite"], parameters: dict[str, Any], frame: "pd.DataFrame", folder: Path
) -> ValidationResult:
    """In the process: validate one table; an error of the operating system, such as a full disk, stays what it is."""
    from expectations.validate import validate

    try:
        return validate(frame, suite(**parameters), folder)
    except OSError:
        raise
    except Exception as error:
        raise ValidationProcessError(
            f"{suite.__module__}: expected a result; the validation failed: {type(error).__name__}: {error}. The table "
            f"has columns {', '.join(map(str, frame.columns))}; compare them with the suite's."
        ) from None
