"""Make artifacts side by side, each in a process of its own, which sends its progress and its log to this process.

Threads of one process would not do: learners draw from torch's global random numbers, so that one training would change the
other. A pool of processes would not do either: if one of its processes is killed, all others lose their work.
"""

import inspect
import logging
import logging.handlers
import multiprocessing
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import torch

from storage.artifacts.store import Draft
from storage.errors import MarqueeError
from storage.lifeline import exit_with
from tasks.progress import Progress, relay_progress

SECONDS = 0.5  # between two checks whether to stop
FACTS = ("rows", "facts", "licences", "generated")  # the fields of a draft besides its files


class WorkProcessError(MarqueeError):
    """The process that makes an artifact could not start, or has ended before it was done."""


class Job(NamedTuple):
    """What a process is to do: fill a draft by a function of a module, given its other arguments, which are pickled."""

    torch_threads: int
    module: str
    function: str
    draft: Draft
    arguments: dict[str, Any]


class WorkProcesses:
    """Processes that each make one artifact. Each thread that calls `work` has one.

    Args:
        torch_threads: of each process.
        run: what each process does with its `Job`: `fill_for_owner`, or a function that lets several processes do it together.
    """

    def __init__(self, torch_threads: int, run: Callable[..., None]) -> None:
        self._torch_threads = torch_threads
        self._run = run
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End all processes; their artifacts are not made."""
        self._stopped.set()

    def work(self, function: Callable[..., None], draft: Draft, arguments: dict[str, Any]) -> None:
        """Fill a draft in a new process.

        Args:
            function: of an artifact task; its module is imported in the process.
            draft: its folder is filled there, its other fields here.
            arguments: the function's others; they are pickled.

        Raises:
            WorkProcessError: the process could not start, or has ended before it was done.
            Exception: what the function raises.
        """
        ours, its = multiprocessing.Pipe()
        name = f"{function.__module__}.{function.__qualname__}"
        process = multiprocessing.get_context("spawn").Process(
            target=self._run,
            args=(its, Job(self._torch_threads, function.__module__, function.__qualname__, draft, arguments)),
        )  # not a daemon, which could start no processes; it ends when the pipe is closed
        try:
            process.start()
        except OSError as error:
            ours.close()
            raise WorkProcessError(
                f"{name}: expected to start a process; found: {error}. Free memory or processes, or set "
                "train.side_by_side=1; then run again."
            ) from error
        finally:
            its.close()
        try:
            self._follow(ours, draft)
        except EOFError:
            process.join()
            raise WorkProcessError(
                f"{name}: expected an artifact; its process has ended with code {process.exitcode}. -9 often means that "
                "memory ran out: lower train.side_by_side. Run again; a training continues from its last checkpoint."
            ) from None
        finally:
            ours.close()  # ends the process
            process.join()

    def _follow(self, process: Connection, draft: Draft) -> None:
        """Show what the process sends, until it is done."""
        shown: dict[int, Progress] = {}
        while True:
            if self._stopped.is_set():
                raise WorkProcessError("expected an artifact; the flow has been stopped. Run again to continue.")
            if not process.poll(SECONDS):
                continue
            match process.recv():
                case "begin", number, key, description:
                    shown[number] = Progress(key, description)
                case "show", number, *arguments:
                    shown[number].show(*arguments)
                case "log", record:
                    logging.getLogger(record.name).handle(record)
                case "failed", error:
                    raise error
                case "done", facts:
                    for name in FACTS:
                        setattr(draft, name, facts[name])
                    return


class _Log(logging.handlers.QueueHandler):
    """Sends the log of this process to the one that it works for."""

    def __init__(self, send: Callable[..., object]) -> None:
        super().__init__(queue.SimpleQueue())  # which stays empty
        self._send = send

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a record."""
        self._send("log", record)


def fill_for_owner(owner: Connection, job: Job) -> None:
    """In the process: fill a draft, and send progress, log and facts to the owner; end if the owner ends."""
    end_with(owner)
    send = sender_to(owner)
    try:
        send("done", fill_here(send, job))
    except Exception as error:
        send("failed", portable(error))


def end_with(owner: Connection) -> None:
    """End this process when its owner ends it or ends itself, and only then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner
    sys.stdout = sys.stderr  # the owner's output ends with lines for scripts
    threading.Thread(target=exit_with, args=(owner,), daemon=True).start()


def sender_to(owner: Connection) -> Callable[..., None]:
    """A function that sends the owner a message, from any thread."""
    lock = threading.Lock()

    def send(*message: Any) -> None:
        with lock:
            owner.send(message)

    return send


def fill_here(send: Callable[..., None], job: Job) -> dict[str, Any]:
    """Fill a draft in this process, which sends its progress and log; returns the draft's fields besides its files."""
    relay_progress(send)
    logging.getLogger().addHandler(_Log(send))
    logging.getLogger("marquee").setLevel(logging.INFO)
    torch.set_num_threads(job.torch_threads)
    inspect.unwrap(getattr(import_module(job.module), job.function))(job.draft, **job.arguments)
    return {name: getattr(job.draft, name) for name in FACTS}


def portable(error: Exception) -> Exception:
    """The error, with its traceback as a note; another one with its message if pickle cannot copy it."""
    note = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # of this process's own
    except Exception:
        kind = next((kind for kind in (MarqueeError, ValueError) if isinstance(error, kind)), RuntimeError)
        error = kind(f"{type(error).__name__}: {error}")
    error.add_note(note)
    return error
