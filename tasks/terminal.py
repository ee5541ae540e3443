"""A run in a terminal: a line for each finished step, and a bar with rate and time left for each one that runs."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.logging.configuration import setup_logging
from prefect.logging.handlers import PrefectConsoleHandler
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.theme import Theme

from storage.errors import MarqueeError

REFRESHES_PER_SECOND = 4


class Terminal:
    """The lines and bars of the command that runs in a terminal.

    Args:
        console: where they are shown.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[pace]}"),
            console=console,
            transient=True,
            refresh_per_second=REFRESHES_PER_SECOND,
        )
        self._flow = ""
        self._bars: dict[int, TaskID] = {}  # of each thread: steps that run side by side are in threads of their own

    def line(self, flow: str, text: str) -> None:
        """Show a line above the bars, below the name of its flow."""
        if flow != self._flow:
            self._flow = flow
            self.console.print(flow, style="bold", markup=False, highlight=False)
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def begin(self, description: str) -> TaskID:
        """Show a bar, in the place of this thread's bar before it; its length is not known yet."""
        self.clear()
        bar = self._bars[threading.get_ident()] = self.bars.add_task(description, total=None, count="", pace="")
        return bar

    def move(self, bar: TaskID, done: int, total: int, pace: str) -> None:
        """Move a bar, if it is still shown."""
        if bar in self.bars.task_ids:
            self.bars.update(bar, completed=done, total=total, count=f"{done:,} of {total:,}", pace=pace)

    def clear(self) -> None:
        """Remove the bar of this thread's step, which has ended."""
        if (bar := self._bars.pop(threading.get_ident(), None)) is not None:
            self.bars.remove_task(bar)


_shown: list[Terminal] = []


def terminal() -> Terminal | None:
    """The terminal of this process, while a command shows its run there."""
    return _shown[-1] if _shown else None


def worth_showing(record: logging.LogRecord) -> bool:
    """Whether a log line is shown beside the bars: a warning or an error, but no error that the command prints at its end."""
    error = record.exc_info[1] if record.exc_info else None
    return record.levelno >= logging.WARNING and not isinstance(error, MarqueeError | ValueError)


@contextmanager
def in_terminal() -> Iterator[None]:
    """Show a run by lines and bars instead of log lines, if standard error is a terminal that can move its cursor.

    Prefect's console handler then shows warnings and errors only; the log in the Prefect UI stays complete.
    """
    setup_logging()
    handlers = [one for one in logging.getLogger().handlers if isinstance(one, PrefectConsoleHandler)]
    if not handlers or not handlers[0].console.is_interactive:
        yield
        return
    handler = handlers[0]  # bars and warnings share its console, so that neither overwrites the other
    shown = Terminal(handler.console)
    _shown.append(shown)
    handler.addFilter(worth_showing)
    try:
        with handler.console.use_theme(Theme()), shown.bars:
            shown.begin("starting")  # until the first step begins; Prefect's temporary server takes seconds
            yield
    finally:
        _shown.remove(shown)
        handler.removeFilter(worth_showing)
