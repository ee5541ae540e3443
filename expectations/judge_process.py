"""The judge in a process of its own, where Great Expectations is imported beside the work: that takes seconds.

A request, on stdin, is a line of JSON and a frame as an Arrow stream; an answer, on a pipe of its own, since libraries print to
stdout, is a line of JSON. Nothing is pickled.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from expectations.verdict import Verdict
from storage.errors import MarqueeError

SERVER = "expectations.serve"  # what runs in the process
TAIL_BYTES = 2_000


class JudgeError(MarqueeError):
    """The judge's process could not start, has ended, or could not judge a table."""


class Request(BaseModel):
    """One table to be judged; its frame follows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str = Field(pattern=r"^expectations\.[a-z_]+$", description="The suite's module, expectations.NAME.")
    parameters: dict[str, Any] = Field(description="Those of the module's function NAME_suite.")
    folder: Path = Field(description="Where the record goes.")
    frame_bytes: int = Field(ge=0, description="Length of the Arrow stream after this line.")


class Answer(BaseModel):
    """A verdict, or why there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict | None = None
    error: str | None = None
    errno: int | None = Field(None, description="Of an error of the operating system, such as a full disk.")


class Running(NamedTuple):
    """A process at work."""

    process: subprocess.Popen[bytes]
    answers: IO[bytes]
    log: IO[bytes]  # what it writes to stdout and stderr


class JudgeProcess:
    """At most one process that judges, started when it is needed; threads take turns.

    Args:
        python: the interpreter to run.
    """

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python
        self._lock = threading.Lock()
        self._at_work: Running | None = None

    def start(self) -> None:
        """Let the process begin to import, and return at once; if it runs already, nothing happens.

        Raises:
            JudgeError: it cannot be started.
        """
        if self._lock.acquire(blocking=False):  # otherwise another thread is judging, so that it runs
            try:
                self._running()
            finally:
                self._lock.release()

    def judge(self, suite: str, frame: pd.DataFrame, folder: Path, **parameters: int | BaseModel) -> Verdict:
        """See `expectations.judge.judge`.

        Args:
            suite: the suite's module, `expectations.NAME`, by its whole name: it is part of what shapes a verdict.
            frame: what the suite judges.
            folder: where the record goes.
            parameters: those of the module's function `NAME_suite`.

        Raises:
            JudgeError: the process cannot be started, ended before it answered, or could not judge the table.
            OSError: the record could not be written.
        """
        stream = arrow_stream(frame)
        request = Request(suite=suite, parameters=parameters, folder=folder.absolute(), frame_bytes=len(stream))
        with self._lock:
            running = self._running()
            try:
                line = exchange(running, request, stream)
            except BaseException:
                self._end()  # an answer that nobody read would be taken for the next one's
                raise
            if not line.endswith(b"\n"):
                raise self._death(running, suite)
        answer = Answer.model_validate_json(line)
        if answer.errno is not None:
            raise OSError(answer.errno, answer.error)
        if answer.verdict is None:
            raise JudgeError(
                f"judge of {suite}: expected a verdict; it failed: {answer.error} The table has columns "
                f"{', '.join(map(str, frame.columns))}; compare them with the suite's."
            )
        return answer.verdict

    def end(self) -> None:
        """End the process, if it runs, once no other thread is judging."""
        with self._lock:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def _running(self) -> Running:
        if self._at_work is not None and self._at_work.process.poll() is None:
            return self._at_work
        self._end()
        reader, writer = os.pipe()
        answers, log = os.fdopen(reader, "rb"), tempfile.TemporaryFile()  # noqa: SIM115  closed by _end
        # It must find the same modules as this process does, wherever that found them.
        places = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
        try:
            process = subprocess.Popen(  # noqa: S603
                [self._python, "-P", "-m", SERVER, str(writer)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[writer],
                env=os.environ | {"PYTHONPATH": places},
            )
        except OSError as error:
            answers.close()
            log.close()
            raise JudgeError(
                f"judge: expected to start {self._python} -m {SERVER}; found: {error}. "
                "Check the Python environment, or free memory and processes, and run again."
            ) from error
        finally:
            os.close(writer)  # so that the end of the process ends the answers
        self._at_work = Running(process, answers, log)
        return self._at_work

    def _death(self, running: Running, suite: str) -> JudgeError:
        """End what has stopped answering, and say how it went."""
        try:
            code = running.process.wait(timeout=10)  # it has closed its answers: it is ending
        except subprocess.TimeoutExpired:
            running.process.kill()
            code = running.process.wait()
        running.log.seek(max(0, running.log.seek(0, os.SEEK_END) - TAIL_BYTES))
        said = running.log.read().decode(errors="replace").strip() or "nothing"
        self._end()
        how = f"exit code {code}" + (f" ({signal.Signals(-code).name})" if code < 0 else "")
        return JudgeError(
            f"judge of {suite}: expected a verdict; its process ended with {how}. Its last words: {said}\n"
            "Run again: what was finished is kept. SIGKILL mostly means that memory ran out: free some. An import error means "
            "that the environment lacks a package: install Marquee's requirements."
        )

    def _end(self) -> None:
        if self._at_work is not None:
            self._at_work.process.kill()  # it holds nothing that is needed: what it may be writing is a draft
            self._at_work.process.communicate()
            self._at_work.answers.close()
            self._at_work.log.close()
            self._at_work = None


def arrow_stream(frame: pd.DataFrame) -> pa.Buffer:
    """A frame as bytes; index and dtypes are kept."""
    table = pa.Table.from_pandas(frame)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def exchange(running: Running, request: Request, stream: pa.Buffer) -> bytes:
    """Send a request and return the answer's line; it lacks its end if the process died."""
    stdin = running.process.stdin
    assert stdin is not None  # noqa: S101
    try:
        stdin.write(request.model_dump_json().encode() + b"\n")
        stdin.write(stream)
        stdin.flush()
    except BrokenPipeError:
        return b""
    return running.answers.readline()
