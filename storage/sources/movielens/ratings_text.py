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


class _Span(NamedTuple):
    """A part of the file, in bytes."""

    start: int
    stop: int


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
    spans = (_Span(start, min(start + BLOCK_BYTES, size)) for start in range(body, size, BLOCK_BYTES))
    with path.open("rb", buffering=0) as stream:
        yield (partial(_lines_starting_in, stream.fileno(), span, body, size, path) for span in spans)


def _lines_starting_in(descriptor: int, span: _Span, body: int, size: int, path: Path) -> bytes:
    """The whole lines that start in a span, each with its LF.

    The byte before the span tells whether a line starts right at the span; the last line runs past its end.
    """
    before = int(span.start > body)
    start, stop = span.start - before, min(span.stop + LONGEST_LINE_BYTES, size)
    data = b""
    while len(data) < stop - start:
        read = os.pread(descriptor, stop - start - len(data), start + len(data))
        if not read:
            raise SourceError(f"{path}: expected {size} bytes; the file grew shorter while it was read. Read it again.")
        data += read
    if stop == size and not data.endswith(b"\n"):
        data += b"\n"  # the last line of the file may lack its end
    first = _after_newline(data, 0) if before else 0
    last = _after_newline(data, span.stop - start - 1)
    if first < 0 or last < 0:
        raise SourceError(
            f"{path}: expected lines of at most {LONGEST_LINE_BYTES} bytes; found a longer one near byte {span.start}. "
            "Is this the right file?"
        )
    return data[first : max(first, last)]


def _after_newline(data: bytes, start: int) -> int:
    """The place behind the first LF from `start` on; -1 if there is none within the length of a line."""
    place = data.find(b"\n", start, start + LONGEST_LINE_BYTES + 1)
    return place if place < 0 else place + 1
