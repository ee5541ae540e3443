import shutil
from collections import namedtuple
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from unit.storage.dataset.transitions_support import arguments, some_histories, written

from storage.dataset import dense_writer
from storage.dataset.dense_source import DenseSource
from storage.dataset.dense_writer import DenseDtype, dense_size, export_dense
from storage.dataset.format import DENSE
from storage.dataset.reader import TransitionDataset
from storage.dataset.stream import TransitionStream
from storage.dataset.writer import write_transitions
from storage.errors import DatasetError, StorageFullError

LENGTHS = [30, 8, 12, 3, 0, 40, 25, 9, 4]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TransitionDataset:
    monkeypatch.setattr(dense_writer, "BLOCK_ROWS", 16)
    return written(tmp_path, LENGTHS, time_cut=700)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_values_equal_gather(data: TransitionDataset, tmp_path: Path, dtype: DenseDtype) -> None:
    facts = export_dense(data.path, tmp_path / "dense.h5", dtype=dtype, splits=("train", "test"))
    expected = [data.gather(data.starts(split), dtype=getattr(torch, dtype)) for split in ("train", "test")]
    joined = [torch.cat(parts).numpy() for parts in zip(*expected, strict=True)]
    assert b"GCOL" not in (tmp_path / "dense.h5").read_bytes(), "a heap without checksum"
    with h5py.File(tmp_path / "dense.h5") as file:
        assert sorted(file) == sorted(DENSE)
        for name, values in zip(tuple(DENSE)[:5], joined, strict=True):
            np.testing.assert_array_equal(file[name][...].astype(values.dtype), values, err_msg=name)
            assert file[name].fletcher32
        assert file["observations"].dtype == file["actions"].dtype == np.dtype(dtype)
        assert file["rewards"].dtype == np.float32
        assert file["terminals"].dtype == file["timeouts"].dtype == bool
        assert file.attrs["split_rows"].tolist() == [0, len(expected[0].reward), facts["rows"]]
        assert file.attrs["provenance_events"] == b"e"
        assert (file.attrs["format"], file.attrs["layout"]) == (b"marquee-transitions/2", b"dense")


def test_timeouts_are_where_a_split_leaves_a_history_that_goes_on(data: TransitionDataset, tmp_path: Path) -> None:
    export_dense(data.path, tmp_path / "dense.h5", splits=("train",))
    starts = data.starts("train")
    users = data.users_of(starts)
    last = torch.cat((users[1:] != users[:-1], torch.tensor([True])))
    terminal = data.gather(starts).terminal.bool()
    with h5py.File(tmp_path / "dense.h5") as file:
        assert file["timeouts"][...].tolist() == (last & ~terminal).tolist()
        assert file["terminals"][...].tolist() == terminal.tolist()
        assert file["timeouts"][...].any()
    export_dense(data.path, tmp_path / "all.h5", splits=("all",))
    with h5py.File(tmp_path / "all.h5") as file:
        assert not file["timeouts"][...].any()
        assert file["terminals"][...].sum() == sum(length > 3 for length in LENGTHS)


def test_equal_inputs_give_equal_bytes_whatever_was_there(data: TransitionDataset, tmp_path: Path) -> None:
    export_dense(data.path, tmp_path / "a.h5")
    (tmp_path / "b.h5").write_text("older")
    export_dense(data.path, tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "b.h5", "t.h5"]


def test_a_disk_too_small_is_refused_before_anything_is_written(
    data: TransitionDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("usage", "free")(1000))
    with pytest.raises(StorageFullError, match=r"expected [\d,]+ free bytes for [\d,]+ transitions.*found 1,000"):
        export_dense(data.path, tmp_path / "dense.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.h5"]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_estimate_holds(tmp_path: Path, dtype: DenseDtype) -> None:
    histories = some_histories([300] * 10)
    write_transitions(tmp_path / "t.h5", [histories], **arguments(histories, dim=64))
    facts = export_dense(tmp_path / "t.h5", tmp_path / "dense.h5", dtype=dtype, splits=("all",))
    estimate = dense_size(facts["rows"], 3, 64, dtype)
    assert facts["size_bytes"] <= estimate <= facts["size_bytes"] + dense_writer.SLACK_BYTES + (1 << 20)


def test_beyond_float16_is_refused(tmp_path: Path) -> None:
    histories = some_histories([9, 9])
    given = arguments(histories)
    given["embeddings"][3, 1] = 70_000
    write_transitions(tmp_path / "t.h5", [histories], **given)
    with pytest.raises(DatasetError, match=r"found 70000\. Export float32"):
        export_dense(tmp_path / "t.h5", tmp_path / "dense.h5", dtype="float16", splits=("all",))
    export_dense(tmp_path / "t.h5", tmp_path / "dense.h5", splits=("all",))


def test_layouts_are_not_mistaken_for_one_another(data: TransitionDataset, tmp_path: Path) -> None:
    export_dense(data.path, tmp_path / "dense.h5")
    with pytest.raises(DatasetError, match=r"expected the compact layout; found dense.*exported from"):
        TransitionDataset.open(tmp_path / "dense.h5")
    with pytest.raises(DatasetError, match=r"expected the dense layout; found compact.*export_dense"):
        DenseSource(data.path)


def test_splits_without_transitions_are_refused(tmp_path: Path) -> None:
    data = written(tmp_path, LENGTHS, time_cut=2000)
    with pytest.raises(DatasetError, match="expected transitions in different splits"):
        export_dense(data.path, tmp_path / "dense.h5", splits=("time",))
    with pytest.raises(DatasetError, match="expected transitions in different splits"):
        export_dense(data.path, tmp_path / "dense.h5", splits=("train", "train"))


def test_progress_ends_at_the_whole(data: TransitionDataset, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    export_dense(
        data.path, tmp_path / "dense.h5", splits=("all",), progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (len(data), len(data))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("split", [None, "train", "test"])
def test_a_dense_file_streams_every_row_once(
    data: TransitionDataset,
    tmp_path: Path,
    dtype: DenseDtype,
    split: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from unit.storage.dataset.test_stream import kept, rows_of

    monkeypatch.setattr("storage.dataset.dense_source.BLOCK_ROWS", 16)
    export_dense(data.path, tmp_path / "dense.h5", dtype=dtype, splits=("train", "test"))
    names = ("train", "test") if split is None else (split,)
    expected = rows_of([data.gather(data.starts(name), dtype=getattr(torch, dtype)) for name in names])
    stream = TransitionStream(DenseSource(tmp_path / "dense.h5", split), 10, buffer_rows=40)
    assert sorted(rows_of(kept(stream))) == sorted(expected)
    assert len(stream) == len(expected)


@pytest.mark.parametrize("member", ["observations", "actions", "rewards", "terminals", "timeouts"])
def test_damage_shows_while_streaming(data: TransitionDataset, tmp_path: Path, member: str) -> None:
    path = tmp_path / "dense.h5"
    export_dense(data.path, path)
    source = DenseSource(path)
    with h5py.File(path) as file:
        place = file[member].id.get_chunk_info(0).byte_offset
    spoilt = bytearray(path.read_bytes())
    spoilt[place + 9] ^= 1
    path.write_bytes(spoilt)
    with pytest.raises(DatasetError, match=r"Fletcher32|filter returned failure"):
        list(TransitionStream(source, 10))


def test_a_split_without_transitions_is_refused(tmp_path: Path) -> None:
    data = written(tmp_path, [30, 30, 30], time_cut=10_000)
    export_dense(data.path, tmp_path / "dense.h5", splits=("train", "time"))
    with pytest.raises(DatasetError, match="expected transitions of time; found none"):
        DenseSource(tmp_path / "dense.h5", "time")
