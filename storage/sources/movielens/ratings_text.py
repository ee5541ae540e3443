"""Read the lines of a ratings table in text, a block at a time."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
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

    Args:
        path: the file.
        body: bytes before the first line.

    Raises:
        SourceError: while reading: a line is longer than LONGEST_LINE_BYTES, or the file becomes shorter.
    """
    size = path.stat().st_size
    with path.open("rb", buffering=0) as stream:
        file = _File(path, stream.fileno(), body, size)
        yield (
            partial(_lines_starting_in, file, start, min(start + BLOCK_BYTES, size))
            for start in range(body, size, BLOCK_BYTES)
        )


def _lines_starting_in(file: _File, start: int, stop: int) -> bytes:
    """The whole lines that start between two places, each with its LF; the last one may run past `stop`."""
    first, last = (_line_start(file, place) for place in (start, stop))
    if first < 0 or last < 0:
        raise SourceError(
            f"{file.path}: expected lines of at most {LONGEST_LINE_BYTES} bytes; found a longer one near byte {start}. "
            "Is this the right file?"
        )
    data = file.read(first, last)
    # The last line of the file may lack its end.
    return data if not data or data.endswith(b"\n") else data + b"\n"


def _line_start(file: _File, place: int) -> int:
    """The first byte from `place` on where a line starts, or the size of the file; -1 if the line before is too long."""
    if place == file.body:
        return place
    stop = min(place + LONGEST_LINE_BYTES, file.size)
    end = file.read(place - 1, stop).find(b"\n")  # the byte before `place` may end a line
    if end >= 0:
        return place + end
    return file.size if stop == file.size else -1
