from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage.dataset import chunks as raw_chunks
from storage.dataset.chunks import check_member, chunks_of, verify_chunk

pytestmark = pytest.mark.skipif(raw_chunks._gather is None, reason="the C helper is not built")


def stored_checksum(data: bytes) -> int:
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        member = file.create_dataset("x", data=np.frombuffer(data, np.uint8), chunks=(len(data),), fletcher32=True)
        return int.from_bytes(member.id.read_direct_chunk((0,))[1][-4:], "little")


@settings(max_examples=100, deadline=None)
@given(data=st.binary(min_size=1, max_size=300), times=st.sampled_from([1, 1, 40, 400]))
@example(data=bytes(7), times=1)
@example(data=b"\xff", times=70_000)
@example(data=b"\xff" * 64 + b"\0", times=1)
def test_checksums_are_hdf5s(data: bytes, times: int) -> None:
    for instructions in ("avx512", "portable"):
        assert raw_chunks._gather.fletcher32(data * times, instructions) == stored_checksum(data * times)


def test_damage_is_found_whatever_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.h5"
    values = np.random.default_rng(0).normal(size=(1000, 7)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, chunks=(64, 7), fletcher32=True)
    with h5py.File(path) as file:
        check_member(path, file["x"])
        chunks = chunks_of(file["x"])
        mapped = np.memmap(path, np.uint8, "r")
        verify_chunk(mapped, int(chunks.place[3]), chunks.size, "x")
        into = mapped[int(chunks.place[3]) :][: chunks.size]
        np.testing.assert_array_equal(into[:-4].view(np.float32).reshape(64, 7), values[192:256])
    spoilt = bytearray(path.read_bytes())
    spoilt[int(chunks.place[9]) + 100] ^= 8
    path.write_bytes(spoilt)
    for compiled in (raw_chunks._gather, None):
        monkeypatch.setattr(raw_chunks, "_gather", compiled)
        with h5py.File(path) as file, pytest.raises(OSError, match=r"Fletcher32|filter returned failure"):
            check_member(path, file["x"])


def test_a_chunk_stored_otherwise_or_cut_off_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("packed", data=np.zeros(100), chunks=(10,), fletcher32=True, compression="gzip")
        file.create_dataset("bare", data=np.zeros(100), chunks=(10,))
        for name in ("packed", "bare"):
            with pytest.raises(OSError, match=r"plain chunks of whole rows|a chunk of other than 84 bytes"):
                chunks_of(file[name])
    mapped = np.memmap(tmp_path / "x.h5", np.uint8, "r")
    with pytest.raises(OSError, match="the file ends within a chunk"):
        verify_chunk(mapped, len(mapped) - 20, 84, "x")
