"""The work directory, and the lock that tells whether a command uses it."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.errors import MarqueeError
from storage.files import writing_to

logger = logging.getLogger("marquee.home")
LOCK = ".in-use"
_held: dict[Path, int] = {}  # the work directory that this process uses, and the descriptor that holds its lock


class HomeInUseError(MarqueeError):
    """Another command uses the work directory."""


def home() -> Path:
    """Marquee's work directory: `MARQUEE_HOME`, by default `.marquee/` where the process runs."""
    return Path(os.environ.get("MARQUEE_HOME", ".marquee")).absolute()


def use_home() -> None:
    """Say that this process uses the work directory, until it ends; nothing is removed from there meanwhile.

    It waits for a command that removes something. A folder that does not exist yet, or cannot be locked, is used without.
    """
    folder = home()
    if folder in _held:
        return
    for other in _held.values():
        os.close(other)
    _held.clear()
    if (lock := shared_lock(folder)) is not None:
        _held[folder] = lock


@contextmanager
def using_home() -> Iterator[None]:
    """As `use_home`, but only while the block runs: for a server, which keeps nothing open that it has loaded."""
    lock = shared_lock(home())
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def shared_lock(folder: Path) -> int | None:
    """The descriptor of a lock that others may hold too, and that `alone_in` waits for; None if there can be none."""
    if not folder.is_dir():
        return None
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # what the command writes there fails with an error that says why
        return None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("%s: marquee fsck or gc changes it; waiting for that to end.", folder)
            fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError:  # the file system has no locks
        os.close(lock)
        return None
    return lock


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep a work directory to this process while the block runs; commands that begin meanwhile wait.

    Raises:
        HomeInUseError: a command uses it, or the file system has no locks.
        StorageUnwritableError: it cannot be written.
    """
    with writing_to(folder):
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            found = "one that runs" if isinstance(error, BlockingIOError) else f"no locks here ({error.strerror})"
            raise HomeInUseError(
                f"{folder}: expected that no other command uses this work directory; found {found}. "
                "Run again when it has ended; nothing was changed."
            ) from error
        yield
    finally:
        os.close(lock)
