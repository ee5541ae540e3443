"""Files that a user gives: regular files only, and in a given folder none that a link leads to from outside."""

import os
import stat
from pathlib import Path

from storage.errors import SourceError

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def regular_file(path: Path, error: type[SourceError] = SourceError) -> Path:
    """The path, if a regular file is there; opening a named pipe could wait for ever, and a device may have no end.

    Raises:
        SourceError: (as `error`) there is none.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except OSError as problem:
        found = problem.strerror or problem
        raise error(f"{path}: expected a readable file; found: {found}. Check the path.") from None
    if kind != stat.S_IFREG:
        raise error(f"{path}: expected a regular file; found {KINDS.get(kind, 'something else')}. Give a file.")
    return path


def file_in(folder: Path, name: str, error: type[SourceError] = SourceError) -> Path | None:
    """The file of that name in a given folder; None if the folder has nothing of that name.

    Raises:
        SourceError: (as `error`) it is not a regular file, or a link that leads out of the folder.
    """
    path = folder / name
    return inside(folder, regular_file(path, error), error) if os.path.lexists(path) else None


def inside(folder: Path, path: Path, error: type[SourceError] = SourceError) -> Path:
    """The path, if it does not lead out of the folder through a link.

    A folder from elsewhere could otherwise name any file of this machine, whose content would be published.

    Raises:
        SourceError: (as `error`) it leads out of the folder.
    """
    real = path.resolve()
    if not real.is_relative_to(folder.resolve()):
        raise error(
            f"{path}: expected a file within {folder}; found a link to {real}. Copy the file into the folder, or give the "
            "path of the other file."
        )
    return path
