"""Raw chunks of uncompressed, checksummed HDF5 members: the same bytes and checks as through HDF5, several times quicker."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from storage.compiled import helper

_gather: Any = helper("_gather")

CHECKSUM_BYTES = 4


class Chunks(NamedTuple):
    """Where the chunks of one member lie; a member is cut along its rows only."""

    rows: int  # of a chunk
    size: int  # bytes of a chunk with its checksum
    place: NDArray[np.int64]  # (chunks,) in the file


def chunks_of(member: h5py.Dataset) -> Chunks:
    """Look them up.

    Raises:
        OSError: a chunk is missing, or is not stored as it is in memory with a checksum behind.
    """
    whole = member.chunks is not None and member.chunks[1:] == member.shape[1:] and member.dtype.isnative
    plain = member.compression is None and not member.shuffle and member.scaleoffset is None
    if not (whole and plain and member.fletcher32):
        raise OSError(f"{member.name}: expected plain chunks of whole rows with checksums; export the file again")
    rows = member.chunks[0]
    count = -(-len(member) // rows)
    size = int(np.prod(member.chunks)) * member.dtype.itemsize + CHECKSUM_BYTES
    place = np.full(count, -1, dtype=np.int64)

    def note(chunk: Any) -> None:
        if chunk.size == size and chunk.filter_mask == 0:
            place[chunk.chunk_offset[0] // rows] = chunk.byte_offset

    member.id.chunk_iter(note)
    if (place < 0).any():
        raise OSError(f"{member.name}: a chunk of other than {size} bytes")
    return Chunks(rows, size, place)


def verify_chunk(file: NDArray[np.uint8], place: int, size: int, name: str) -> None:
    """Compare a chunk with the checksum behind it.

    Args:
        file: (bytes,) of the file, or of a part.
        place: where in it the chunk begins.
        size: of the chunk with its checksum.
        name: of the member.

    Raises:
        OSError: the file ends before the chunk does, or the checksum does not match.
    """
    chunk = file[place : place + size]
    if len(chunk) < size:
        raise OSError(f"{name}: the file ends within a chunk")
    stored = int.from_bytes(chunk[-CHECKSUM_BYTES:].tobytes(), "little")
    if _gather.fletcher32(chunk[:-CHECKSUM_BYTES], "avx512") != stored:
        raise OSError(f"{name}: data error detected by Fletcher32 checksum")


def check_member(path: Path, member: h5py.Dataset) -> None:
    """Read all of a member of a file and compare its checksums.

    Raises:
        OSError: one does not match.
    """
    if not len(member):
        return
    if _gather is None:
        buffer = np.empty((min(member.chunks[0], len(member)), *member.shape[1:]), dtype=member.dtype)
        for begin in range(0, len(member), len(buffer)):
            count = min(len(buffer), len(member) - begin)
            member.read_direct(buffer, np.s_[begin : begin + count], np.s_[:count])
        return
    chunks = chunks_of(member)
    buffer = np.empty(chunks.size, dtype=np.uint8)
    with path.open("rb", buffering=0) as file:  # read, not mapped: what is mapped counts as this process's memory
        for place in chunks.place.tolist():
            count = os.preadv(file.fileno(), [buffer.data], place)
            verify_chunk(buffer[:count], 0, chunks.size, member.name)
