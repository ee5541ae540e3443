"""Draft folders: where unfinished files lie until they are renamed, and where a killed writer's are found and removed.

A draft is the folder `.draft.<name>.<random>` beside the final name. Its writer holds a lock on a file in it. The system
releases the lock when the writer ends, in whatever way and on whatever machine: a draft that nobody holds is a dead
writer's. Process numbers would not do: they mean nothing on another machine or in another container.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"
PATTERN = ".draft.*"


@contextmanager
def draft_beside(final: Path) -> Iterator[Path]:
    """Yield a path for an unfinished file or folder, on the same file system as `final`; drafts of ended writers there go.

    The caller makes the file or folder and renames it to `final`. What it has not renamed is removed when the block ends.
    """
    sweep_drafts(final.parent)
    folder, lock = _new_draft(final)
    try:
        yield folder / final.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep_drafts(folder: Path) -> int:
    """Remove the drafts in a folder whose writers have ended; returns their number."""
    return sum(_removed(draft) for draft in folder.glob(PATTERN))


def abandoned_drafts(folder: Path) -> list[Path]:
    """The drafts below a folder, at any depth, whose writers have ended; `sweep_drafts` on their folders removes them."""
    found = [draft for draft in folder.rglob(PATTERN) if _is_abandoned(draft)]
    return sorted(draft for draft in found if not any(parent in found for parent in draft.parents))


def _is_abandoned(draft: Path) -> bool:
    try:
        lock = os.open(draft / LOCK, os.O_RDWR)
    except OSError:
        return draft.is_dir() and not any(draft.iterdir())
    try:
        return bool(_locked(lock))
    finally:
        os.close(lock)


def _new_draft(final: Path) -> tuple[Path, int]:
    """Make a draft's folder; returns it and the descriptor that holds its lock."""
    while True:
        folder = final.with_name(f".draft.{final.name}.{secrets.token_hex(4)}")
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # another process has removed the folder, which had no lock yet, or the one above
        if _locked(lock) is not False and (folder / LOCK).exists():
            return folder, lock
        os.close(lock)  # another process has taken the draft for a dead writer's before it was locked


def _removed(draft: Path) -> bool:
    """Remove a draft, unless its writer lives; whether it is removed."""
    try:
        lock = os.open(draft / LOCK, os.O_RDWR)
    except FileNotFoundError:  # its writer ended, or is about to lock it and makes another one if this is gone
        try:
            draft.rmdir()
        except OSError:
            return False
        return True
    except OSError:
        return False
    try:
        if _locked(lock):
            shutil.rmtree(draft, ignore_errors=True)
            return True
        return False
    finally:
        os.close(lock)


def _locked(descriptor: int) -> bool | None:
    """Lock an open file; False if another process holds it, None if the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None  # a writer writes without one; nobody sweeps there
    return True
