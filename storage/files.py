"""File-system helpers: hashing, fsync, atomic replacement, and typed errors of writing."""

import errno
import fcntl
import hashlib
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from storage.drafts import draft_beside
from storage.errors import MarqueeError, StorageFullError, StorageUnwritableError

logger = logging.getLogger("marquee.files")
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
TAKEN = {errno.EEXIST, errno.ENOTEMPTY}  # renaming a folder to a name that another folder has
UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of the file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fsync_path(path: Path) -> None:
    """Flush a file or a folder entry to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_folder(new: Path, final: Path) -> bool:
    """Rename a finished folder and flush that to the disk; False if there is one of that name already."""
    try:
        new.rename(final)
    except OSError as error:
        if error.errno not in TAKEN:
            raise
        return False
    fsync_path(final.parent)
    return True


def replace_folder(new: Path, final: Path) -> None:
    """Rename a finished folder to a name that another folder may have; that one is removed first."""
    while not rename_folder(new, final):
        remove_folder(final)


def remove_folder(folder: Path) -> None:
    """Remove a folder if there is one; readers see all of it or nothing."""
    with draft_beside(folder) as draft, suppress(FileNotFoundError):  # another process has moved it
        folder.rename(draft)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path and rename it to `path` if the block succeeds: readers see the whole old or new file."""
    with draft_beside(path) as temporary:
        yield temporary
        fsync_path(temporary)
        temporary.replace(path)
    fsync_path(path.parent)


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Write under a temporary name, fsync and rename: readers see the old bytes or the new ones."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def locked(path: Path, waiting: str = "") -> Iterator[None]:
    """Hold a lock file, which other processes and threads that call this wait for; the lock of a killed process is free.

    The file is removed at the end, so a process that waited checks that it holds the file that is there now.

    Args:
        path: the lock file, in a folder that exists.
        waiting: what is logged once if another process holds the lock.
    """
    while True:
        with path.open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting:
                    logger.info("%s", waiting)
                fcntl.flock(stream, fcntl.LOCK_EX)
            if not _is_open_file(path, stream.fileno()):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_open_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def kind_of(head: bytes) -> Literal["empty", "a web page", "an archive"] | None:
    """What the first bytes of a file show it to be; None: possibly a table."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    if not start:
        return "empty"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page"
    return "an archive" if start.startswith((b"pk\x03\x04", b"\x1f\x8b")) else None


def _errno_of(error: Exception) -> int | None:
    """The error number, also if a library (HDF5, safetensors) put it only into the text."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = re.search(r"(?:errno = |os error )(\d+)", str(error))
    return int(found.group(1)) if found else None


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn operating-system errors of the writes in the block into typed errors that say what to do.

    Raises:
        StorageFullError: no space, quota or file-size limit left.
        StorageUnwritableError: permission denied, read-only file system, or a file where a folder is needed.
    """
    try:
        yield
    except MarqueeError:  # it says what to do already, whatever its text quotes
        raise
    except Exception as error:  # libraries have their own types
        code = _errno_of(error)
        if code in FULL:
            raise StorageFullError(
                f"{path}: expected room to write; found {os.strerror(code or errno.ENOSPC)}. "
                "Free some space or set MARQUEE_HOME to a larger disk, then run again: finished steps are kept."
            ) from error
        if code in UNWRITABLE or isinstance(error, FileExistsError):
            raise StorageUnwritableError(
                f"{path}: expected a folder this user can write; found {os.strerror(code) if code else error}. "
                "Set MARQUEE_HOME to a writable folder or correct its permissions."
            ) from error
        raise
