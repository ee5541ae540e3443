"""Read the lines of a ratings table in text, a block at a time."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from storage.errors import SourceError

BLOCK_BYTES = 4 << 20
LONGEST_LINE_BYTES = 1 << 16


class _File(NamedTuple):
    """A file that is open for reading."""

    path: Path
    descriptor: int
    body: int  # bytes before the first line
    size: int

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to `stop`; threads may read at the same time."""
        data = b""
        while len(data) < stop - start:
            more = os.pread(self.descriptor, stop - start - len(data), start + len(data))
            if not more:
                raise SourceError(
                    f"{self.path}: expected {self.size} bytes; the file grew shorter while it was read. Read it again."
                )
            data += more
        return data


@contextmanager
def text_lines(path: Path, body: int) -> Iterator[Iterator[Callable[[], bytes]]]:
    """The lines of a file in blocks; each block is a function that reads it, so that threads can read side by side.

    A last line without a line end is a block of its own.

    Args:
        path: the file.
        body: bytes before the first line.

    Raises:
        SourceError: a line is longer than LONGEST_LINE_BYTES, or, while reading, the file becomes shorter.
    """
    size = path.stat().st_size
    with path.open("rb", buffering=0) as stream:
        file = _File(path, stream.fileno(), body, size)
        whole = max(body, _end_of_last_line(file))
        blocks = range(body, whole, BLOCK_BYTES)
        yield chain(
            (partial(_lines_starting_in, file, start, min(start + BLOCK_BYTES, whole)) for start in blocks),
            (partial(file.read, start, size) for start in (whole,) if start < size),
        )


def _end_of_last_line(file: _File) -> int:
    """The byte after the last LF; 0 if there is none."""
    start = max(0, file.size - LONGEST_LINE_BYTES - 1)
    end = file.read(start, file.size).rfind(b"\n")
    if end < 0 and start > file.body:
        raise _too_long(file, start)
    return start + end + 1 if end >= 0 else 0


def _lines_starting_in(file: _File, start: int, stop: int) -> bytes:
    """The whole lines that start between two places, each with its LF; the last one may run past `stop`."""
    first, last = (_line_start(file, place) for place in (start, stop))
    if first < 0 or last < 0:
        raise _too_long(file, start)
    return file.read(first, last)


def _too_long(file: _File, place: int) -> SourceError:
    return SourceError(
        f"{file.path}: expected lines of at most {LONGEST_LINE_BYTES} bytes; found a longer one near byte {place}. "
        "Check that this is the right file."
    )


def _line_start(file: _File, place: int) -> int:
    """The first byte from `place` on where a line starts, or the size of the file; -1 if the line before is too long."""
    if place == file.body:
        return place
    stop = min(place + LONGEST_LINE_BYTES, file.size)
    end = file.read(place - 1, stop).find(b"\n")  # the byte before `place` may end a line
    if end >= 0:
        return place + end
    return file.size if stop == file.size else -1
