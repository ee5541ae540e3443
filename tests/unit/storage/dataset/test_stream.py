from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.storage.dataset.transitions_support import written

from storage.dataset import compact_source
from storage.dataset.compact_source import CompactSource
from storage.dataset.gather import TransitionBatch
from storage.dataset.reader import TransitionDataset
from storage.dataset.stream import TransitionStream
from storage.errors import DatasetError


def rows_of(batches: list[TransitionBatch]) -> list[bytes]:
    return [
        b"".join(part[row : row + 1].view(torch.uint8).numpy().tobytes() for part in batch)
        for batch in batches
        for row in range(len(batch.reward))
    ]


def kept(stream: TransitionStream) -> list[TransitionBatch]:
    """All batches of an epoch, copied out of their ring."""
    return [TransitionBatch(*(part.clone() for part in batch)) for batch in stream]


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 30), min_size=3, max_size=25).filter(lambda n: max(n[::3]) > 8),
    block=st.sampled_from([1, 20, 64]),
    buffer_rows=st.sampled_from([1, 50, 1000]),
    split=st.sampled_from(["train", "all", "time"]),
    batch=st.integers(1, 40),
)
def test_every_transition_once_per_epoch(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], block: int, buffer_rows: int, split: str, batch: int
) -> None:
    data = written(tmp_path_factory.mktemp("s"), lengths, time_cut=700)
    expected = rows_of([data.gather(data.starts(split))])  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compact_source, "BLOCK_EVENTS", block)
        source = CompactSource(data.path, split)  # type: ignore[arg-type]
    if not expected:
        with pytest.raises(DatasetError, match="found none"):
            TransitionStream(source, batch)
        return
    stream = TransitionStream(source, batch, seed=4, buffer_rows=buffer_rows)
    assert len(stream) == len(expected)
    for epoch in range(2):
        batches = kept(stream)
        assert [len(part.reward) for part in batches[:-1]] == [batch] * (len(batches) - 1)
        assert sorted(rows_of(batches)) == sorted(expected)
        assert stream.epoch == epoch + 1


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TransitionDataset:
    monkeypatch.setattr(compact_source, "BLOCK_EVENTS", 100)
    return written(tmp_path, [40] * 50)


def stream_of(data: TransitionDataset, seed: int = 1) -> TransitionStream:
    return TransitionStream(CompactSource(data.path, "all"), 32, seed=seed, buffer_rows=300)


def test_order_is_seeded_and_shuffled(data: TransitionDataset) -> None:
    one, same, other = (rows_of(kept(stream_of(data, seed))) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    stream = stream_of(data)
    assert rows_of(kept(stream)) != rows_of(kept(stream))  # another epoch, another order
    place = {row: at for at, row in enumerate(rows_of([data.gather(data.starts("all"))]))}
    steps = np.abs(np.diff([place[row] for row in one]))
    assert np.mean(steps == 1) < 0.03
    assert np.median(steps) > 100


@pytest.mark.parametrize("batches", [1, 7, 20, 57])
def test_resumes_where_it_was(data: TransitionDataset, batches: int) -> None:
    whole = stream_of(data)
    expected = rows_of(kept(whole) + kept(whole))
    stopped = stream_of(data)
    got = []
    iterator = iter(stopped)
    for _ in range(batches):
        got.append(TransitionBatch(*(part.clone() for part in next(iterator))))
    resumed = stream_of(data, seed=99)
    resumed.load_state_dict(stopped.state_dict())
    assert rows_of(got + kept(resumed) + kept(resumed))[: len(expected)] == expected


def test_half_precision(data: TransitionDataset) -> None:
    stream = TransitionStream(CompactSource(data.path, "all", torch.bfloat16), 64)
    expected = rows_of([data.gather(data.starts("all"), dtype=torch.bfloat16)])
    assert sorted(rows_of(kept(stream))) == sorted(expected)


def test_damage_shows(data: TransitionDataset) -> None:
    with h5py.File(data.path) as file:
        place = file["events/rating"].id.get_chunk_info(0).byte_offset
    source = CompactSource(data.path, "all")
    spoilt = bytearray(data.path.read_bytes())
    spoilt[place + 5] ^= 1
    data.path.write_bytes(spoilt)
    with pytest.raises(DatasetError, match="expected a whole"):
        kept(TransitionStream(source, 32))


@pytest.mark.parametrize("item", [20, 60_000])
def test_items_that_there_are_not_are_refused(tmp_path: Path, item: int) -> None:
    data = written(tmp_path, [30, 30, 30])
    with h5py.File(data.path, "a") as file:
        file["events/item"][40] = item
    with pytest.raises(DatasetError, match=rf"events/item of 0 … 19; found \d+ … {item}"):
        list(TransitionStream(CompactSource(data.path, "all"), 8))
