from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import DatasetError
from storage.transitions import TransitionDataset
from storage.transitions_writer import write_transitions


def histories(lengths: list[int], seed: int = 0, items: int = 20, dim: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    events = sum(lengths)
    offsets = np.r_[0, np.cumsum(lengths)]
    times = np.concatenate([np.sort(rng.integers(0, 1000, n)) for n in lengths]) if events else np.zeros(0, int)
    return {
        "item": rng.integers(0, items, events),
        "rating": (rng.integers(1, 11, events) / 2).astype(np.float32),
        "timestamp": times.astype(np.int64),
        "offsets": offsets,
        "user_ids": np.arange(len(lengths)) + 100,
        "split": (np.arange(len(lengths)) % 3).astype(np.uint8),
        "movie_ids": np.arange(items) * 7,
        "embeddings": rng.normal(size=(items, dim)).astype(np.float32),
        "frame": 3,
        "time_cut": 900,
        "provenance": {"events": "e", "items": "i"},
    }


def written(folder: Path, values: dict[str, Any]) -> TransitionDataset:
    write_transitions(folder / "t.h5", **values)
    return TransitionDataset.open(folder / "t.h5")


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(lambda n: max(n) > 3), seed=st.integers(0, 99)
)
def test_gather_equals_the_definition(tmp_path_factory: pytest.TempPathFactory, lengths: list[int], seed: int) -> None:
    values = histories(lengths, seed)
    data = written(tmp_path_factory.mktemp("t"), values)
    expected = []
    frame = 3
    embedding, item = values["embeddings"], values["item"]
    reward = 2 * (values["rating"] - 2.5)
    for first, end in zip(values["offsets"], values["offsets"][1:], strict=False):
        for start in range(first, end - frame):
            now, nxt = slice(start, start + frame), slice(start + 1, start + frame + 1)
            action = start + frame
            expected.append(
                (
                    np.r_[embedding[item[now]].ravel(), reward[now]],
                    embedding[item[action]],
                    reward[action],
                    np.r_[embedding[item[nxt]].ravel(), reward[nxt]],
                    float(action == end - 1),
                )
            )
    assert len(data) == len(expected) == sum(max(0, n - frame) for n in lengths)
    gathered = data.gather(data.starts("all"))
    for place, part in enumerate(gathered):
        np.testing.assert_array_equal(part.numpy(), np.array([row[place] for row in expected], dtype=np.float32))
    assert gathered[0].shape == (len(data), data.observation_dim)
    torch.testing.assert_close(data.observations(data.starts("all")), gathered[0])


def test_splits_are_disjoint_by_user_and_time(tmp_path: Path) -> None:
    data = written(tmp_path, histories([30] * 9))
    starts = {split: data.starts(split) for split in ("train", "validation", "test", "time")}
    assert sum(map(len, starts.values())) == len(data)
    action_time = {split: data.timestamp[rows + data.frame] for split, rows in starts.items()}
    assert int(action_time["train"].max()) <= 900 < int(action_time["time"].min())
    users = {split: set(data.users_of(rows).tolist()) for split, rows in starts.items()}
    assert users["train"] == {0, 3, 6} >= users["time"]
    assert users["validation"] == {1, 4, 7}
    assert users["test"] == {2, 5, 8}


def test_last_starts_and_seen_items(tmp_path: Path) -> None:
    values = histories([8, 5, 12])
    data = written(tmp_path, values)
    starts = data.last_starts("test", 2)
    assert starts.tolist() == [13 + 12 - 3 - 2, 13 + 12 - 3 - 1]
    rows, items = data.seen(starts)
    for row, start in enumerate(starts.tolist()):
        before = set(values["item"][13 : start + 3].tolist()) - {int(values["item"][start + 3])}
        assert set(items[rows == row].tolist()) == before


def test_training_events_leave_out_what_is_held_out(tmp_path: Path) -> None:
    values = histories([10, 10, 10])
    data = written(tmp_path, values)
    mask = (np.repeat([0, 1, 2], 10) == 0) & (values["timestamp"] <= 900)
    assert data.training_events()[1].tolist() == values["item"][mask].tolist()


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        write_transitions(tmp_path / name, **histories([8, 9]))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_format_attributes(tmp_path: Path) -> None:
    facts = write_transitions(tmp_path / "t.h5", **histories([8, 2, 9]))
    assert facts["transitions"] == 5 + 6
    assert facts["users_without_transitions"] == 1
    with h5py.File(tmp_path / "t.h5") as file:
        assert file.attrs["format"] == "marquee-transitions/1"
        assert file["events/item"].dtype == np.uint16
        assert file["events/rating"].fletcher32
        assert file.attrs["provenance_events"] == "e"


def test_flipped_bit_and_torn_file_are_refused(tmp_path: Path) -> None:
    values = histories([300] * 3)
    write_transitions(tmp_path / "t.h5", **values)
    whole = (tmp_path / "t.h5").read_bytes()
    place = whole.index(values["embeddings"].tobytes()[:16])
    (tmp_path / "flipped.h5").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    (tmp_path / "torn.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "page.h5").write_text("<html>not found</html>")
    for name in ("flipped.h5", "torn.h5", "page.h5", "absent.h5"):
        with pytest.raises(DatasetError, match="expected a whole"):
            TransitionDataset.open(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rating": np.full(17, 7, np.float32)}, "ratings 0.5"),
        ({"rating": np.full(17, np.nan, np.float32)}, "ratings 0.5"),
        ({"item": np.full(17, 20)}, "item indices below 20"),
        ({"timestamp": np.arange(17)[::-1]}, "time order"),
        ({"offsets": np.array([0, 8, 16])}, "offsets that cover"),
        ({"frame": 9}, "more than 9 events"),
        ({"embeddings": np.full((20, 4), np.inf, np.float32)}, "finite embeddings"),
    ],
)
def test_bad_input_is_refused_before_a_file_is_made(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        write_transitions(tmp_path / "t.h5", **(histories([8, 9]) | change))
    assert not (tmp_path / "t.h5").exists()
