"""Create an HDF5 file whose failed writes are raised as they are."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
from typing_extensions import Buffer


@contextmanager
def new_file(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file, closed when the block ends.

    HDF5 crashes the process if a write fails while it closes a file. It is therefore not told: the first failure is
    raised when the file is closed.

    Raises:
        OSError: a write failed, for example because the disk is full; the file is not whole.
    """
    with _Output(path) as output:
        try:
            with h5py.File(output, "w", libver=("v110", "v110"), track_order=False) as file:
                yield file
        finally:
            if output.failure is not None:
                raise output.failure


class _Output(io.FileIO):
    """A file that remembers the first failed write and drops what follows it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.failure: OSError | None = None

    def write(self, data: Buffer, /) -> int:
        """Write all bytes, or remember why that failed."""
        rest, place = memoryview(data).cast("B"), self.tell()
        size = len(rest)
        while len(rest) and self.failure is None:
            try:
                rest = rest[super().write(rest) or 0 :]
            except OSError as error:
                self.failure = error
        self.seek(place + size)
        return size

    def truncate(self, size: int | None = None, /) -> int:
        """Set the size, or remember why that failed."""
        try:
            return super().truncate(size) if self.failure is None else size or 0
        except OSError as error:
            self.failure = error
            return size or 0
