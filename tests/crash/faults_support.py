"""Fail a piece of work at each system call by which it changes what is stored.

strace counts the calls of a forked child and injects a fault at the n-th: SIGKILL before the call, a full disk from it on, or
one input/output error. The work is therefore the real one, down to what HDF5 and pyarrow write.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from storage.errors import MarqueeError

CALLS = (
    "write", "pwrite64", "writev", "sendfile", "copy_file_range", "ftruncate", "fsync", "rename", "renameat2", "link",
    "unlink", "unlinkat", "mkdir", "rmdir",
)  # fmt: skip
FAULTS = {"kill": "signal=KILL:when={}", "full disk": "error=ENOSPC:when={}+", "i/o error": "error=EIO:when={}"}
FULL_DISK = {
    "write",
    "pwrite64",
    "writev",
    "sendfile",
    "copy_file_range",
    "ftruncate",
    "rename",
    "renameat2",
    "link",
    "mkdir",
}
OK, TYPED, PASSED_ON, OTHER = 0, 3, 4, 5  # exit codes of the child


@dataclass(frozen=True)
class Outcome:
    """How the work ended under one fault: `finished`, `killed`, `typed error`, `passed on` (the fault's own I/O error) or `other`."""

    call: str
    number: int
    fault: str
    ended: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.fault} at {self.call} {self.number}: {self.ended} {self.detail}"


def child_of(work: Callable[[], object]) -> tuple[int, socket.socket]:
    """A forked child that waits for a byte, does the work, and says through its socket how that ended."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child:
        theirs.close()
        return child, ours
    code = OTHER
    try:
        os.setsid()
        ours.close()
        sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115, what is printed is not what is stored
        theirs.recv(1)
        work()
        code = OK
    except MarqueeError as error:
        code = TYPED
        theirs.send(str(error).encode()[:4000])
    except BaseException as error:
        code = PASSED_ON if "Input/output error" in str(error) else OTHER
        theirs.send(traceback.format_exc().encode()[-4000:])
    finally:
        os._exit(code)  # whatever happens, the child does not go on with its parent's work


def ended_by(work: Callable[[], object], call: str = "", number: int = 0, fault: str = "") -> tuple[Outcome, list[str]]:
    """Do the work in a child, under a fault if one is named.

    Returns: how it ended, and the calls that it made: those of the kind `call`, or all of CALLS.
    """
    child, ours = child_of(work)
    log = Path(tempfile.gettempdir()) / f"strace-{os.getpid()}-{child}"
    inject = ["-e", f"inject={call}:{FAULTS[fault].format(number)}"] if fault else []
    traced = ["-e", f"trace={call or ','.join(CALLS)}", *inject]
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", str(log), *traced, "-p", str(child)], stderr=subprocess.PIPE
    )
    try:
        while "TracerPid:\t0" in Path(f"/proc/{child}/status").read_text():
            assert tracer.poll() is None, tracer.stderr.read().decode() if tracer.stderr else ""
            time.sleep(0.001)
        ours.send(b"x")
        _, status = os.waitpid(child, 0)
        detail = b""
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            detail = ours.recv(4096)
        tracer.communicate()
        code = os.waitstatus_to_exitcode(status)
        names = {
            OK: "finished",
            TYPED: "typed error",
            PASSED_ON: "passed on",
            OTHER: "other",
            -signal.SIGKILL: "killed",
        }
        outcome = Outcome(call, number, fault, names.get(code, f"exit code {code}"), detail.decode(errors="replace"))
        return outcome, re.findall(r"^\d+ +(\w+)\(", log.read_text(errors="replace"), re.MULTILINE)
    finally:
        ours.close()
        log.unlink(missing_ok=True)


def try_all(
    prepare: Callable[[], object],
    work: Callable[[], object],
    check: Callable[[Outcome], None],
    again: Callable[[], None],
    every: int = 1,
) -> list[Outcome]:
    """Fail `work` once at each call that it makes.

    Args:
        prepare: called before each run; makes the state that the work starts from.
        work: the work, done in a child.
        check: what readers see after the fault; fails if that is neither old nor new.
        again: does the work once more, without a fault, and fails if its result is not the usual one.
        every: try only each `every`-th boundary.
    """
    prepare()
    usual, calls = ended_by(work)
    assert usual.ended == "finished", str(usual)
    number = Counter(calls)
    all_boundaries = [
        (fault, call, place)
        for fault in FAULTS
        for call in CALLS
        for place in range(1, number[call] + 1)
        if fault != "full disk" or call in FULL_DISK
    ]
    outcomes = []
    for fault, call, place in all_boundaries[every // 2 :: every]:
        prepare()
        outcome, _ = ended_by(work, call, place, fault)
        assert outcome.ended in {"finished", "killed", "typed error", "passed on"}, str(outcome)
        check(outcome)
        again()
        outcomes.append(outcome)
    return outcomes


def table(work: str, outcomes: list[Outcome]) -> str:
    """The boundaries of each fault, and how the work ended, as lines of text."""
    lines = []
    for fault in dict.fromkeys(outcome.fault for outcome in outcomes):
        of_it = [outcome for outcome in outcomes if outcome.fault == fault]
        ended = Counter(outcome.ended for outcome in of_it)
        counts = ", ".join(f"{number} {one}" for one, number in sorted(ended.items()))
        lines.append(
            f"{work:16} {fault:10} {len(of_it):4} boundaries, {len({o.call for o in of_it}):2} kinds: {counts}"
        )
    return "\n".join(lines)
