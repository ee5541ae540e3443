import itertools
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.storage.dataset.transitions_support import arguments, cut, some_histories, written

from models.histories import Histories, flat_observation
from storage.dataset import writer as transitions_writer
from storage.dataset.reader import TransitionDataset
from storage.dataset.scale import RatingScale
from storage.dataset.writer import write_transitions
from storage.errors import DatasetError


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(lambda n: max(n) > 3), seed=st.integers(0, 99)
)
def test_gather_equals_the_definition(tmp_path_factory: pytest.TempPathFactory, lengths: list[int], seed: int) -> None:
    values = some_histories(lengths, seed)
    data = written(tmp_path_factory.mktemp("t"), lengths, seed)
    expected = []
    frame = 3
    embedding, item = arguments(values)["embeddings"], values.item
    reward = 2 * (values.code / 2 - 2.5)
    offsets = np.r_[0, np.cumsum(lengths)]
    for first, end in itertools.pairwise(offsets):
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
    known = Histories(*data.histories(data.starts("all")))
    torch.testing.assert_close(flat_observation(known, data.embedding, frame), gathered[0])


def test_histories_hold_all_that_was_rated_before_and_nothing_later(tmp_path: Path) -> None:
    data = written(tmp_path, [0, 5, 9, 4])
    starts = data.starts("all")
    items, rewards = data.histories(starts)
    assert items.shape == rewards.shape == (len(starts), 8)
    for row, start in enumerate(starts.tolist()):
        first = int(data.offset[data.users_of(torch.tensor([start]))])
        events = slice(first, start + data.frame)
        length = events.stop - first
        assert items[row, -length:].tolist() == data.item[events].tolist()
        assert rewards[row, -length:].tolist() == data.reward_of_code[data.rating_code[events].int()].tolist()
        assert (items[row, :-length] == -1).all()
        assert not rewards[row, :-length].any()
    for most in (2, 11):
        shorter, worth = data.histories(starts, most)
        kept = min(most, 8)
        assert shorter.shape == (len(starts), most)
        assert torch.equal(shorter[:, -kept:], items[:, -kept:])
        assert torch.equal(worth[:, -kept:], rewards[:, -kept:])


def test_splits_are_disjoint_by_user_and_time(tmp_path: Path) -> None:
    data = written(tmp_path, [30] * 9)
    starts = {split: data.starts(split) for split in ("train", "validation", "test", "time")}
    assert sum(map(len, starts.values())) == len(data)
    times = torch.from_numpy(data.timestamps())
    action_time = {split: times[rows + data.frame] for split, rows in starts.items()}
    assert int(action_time["train"].max()) <= 900 < int(action_time["time"].min())
    users = {split: set(data.users_of(rows).tolist()) for split, rows in starts.items()}
    assert users["train"] == {0, 3, 6} >= users["time"]
    assert users["validation"] == {1, 4, 7}
    assert users["test"] == {2, 5, 8}


def test_starts_equal_their_definition_event_by_event(tmp_path: Path) -> None:
    lengths = [0, 30, 2, 0, 0, 9, 40, 3, 4, 0, 25, 0]
    data = written(tmp_path, lengths, time_cut=500)
    times = data.timestamps()
    offsets = np.r_[0, np.cumsum(lengths)]
    expected: dict[str, list[int]] = {"train": [], "time": [], "validation": [], "test": [], "all": []}
    for user, (first, end) in enumerate(itertools.pairwise(offsets)):
        for start in range(first, end - 3):
            late = times[start + 3] > 500
            expected["all"].append(start)
            expected[("time" if late else "train") if user % 3 == 0 else ("validation", "test")[user % 3 - 1]].append(
                start
            )
            assert int(data.users_of(torch.tensor([start]))) == user
    for split, starts in expected.items():
        assert data.starts(split).tolist() == starts, split  # type: ignore[arg-type]


def test_last_starts(tmp_path: Path) -> None:
    data = written(tmp_path, [8, 5, 12])
    assert data.last_starts("test", 2).tolist() == [13 + 12 - 3 - 2, 13 + 12 - 3 - 1]


def test_training_events_leave_out_what_is_held_out(tmp_path: Path) -> None:
    values = some_histories([10, 10, 10, 10])
    data = written(tmp_path, [10, 10, 10, 10])
    mask = (np.repeat([0, 1, 2, 0], 10) == 0) & (values.timestamp <= 900)
    users, items, rewards, times = data.training_events()
    assert items.tolist() == values.item[mask].tolist()
    assert times.tolist() == values.timestamp[mask].tolist()
    assert rewards.tolist() == (2 * (values.code[mask] / 2 - 2.5)).tolist()
    assert users.tolist() == np.repeat(range(4), 10)[mask].tolist()


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(lambda n: max(n) > 3),
    places=st.lists(st.integers(0, 12), max_size=4),
    chunk=st.sampled_from([1, 5, 16, 1 << 18]),
)
def test_equal_content_gives_equal_bytes_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], places: list[int], chunk: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    histories = some_histories(lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transitions_writer, "EVENT_CHUNK", chunk)
        write_transitions(folder / "a.h5", [histories], **arguments(histories))
        blocks = cut(histories, sorted(place for place in places if place < len(lengths)))
        write_transitions(folder / "b.h5", iter(blocks), **arguments(histories))
    assert (folder / "a.h5").read_bytes() == (folder / "b.h5").read_bytes()
    with h5py.File(folder / "b.h5") as file:
        np.testing.assert_array_equal(file["events/item"][...], histories.item)
        np.testing.assert_array_equal(file["events/rating"][...], histories.code)
        np.testing.assert_array_equal(file["events/timestamp"][...], histories.timestamp)
        np.testing.assert_array_equal(file["users/offset"][...], np.r_[0, np.cumsum(lengths)])


def test_format_attributes(tmp_path: Path) -> None:
    histories = some_histories([8, 2, 9])
    facts = write_transitions(tmp_path / "t.h5", [histories], **arguments(histories))
    assert facts["transitions"] == 5 + 6
    assert facts["users_without_transitions"] == 1
    assert b"GCOL" not in (tmp_path / "t.h5").read_bytes(), "a heap without checksum"
    with h5py.File(tmp_path / "t.h5") as file:
        assert file.attrs["format"] == b"marquee-transitions/2"
        assert file["events/item"].dtype == np.uint16
        file.visititems(lambda name, node: None if isinstance(node, h5py.Group) else _checksummed(name, node))
        assert file.attrs["provenance_events"] == b"e"
        assert dict(file["events/rating"].attrs) == {
            "rating_min": 0, "rating_step": 0.5, "rating_lowest": 0.5, "rating_highest": 5, "reward_scale": 2,
            "reward_offset": -5,
        }  # fmt: skip


def _checksummed(name: str, member: h5py.Dataset) -> None:
    assert member.fletcher32, name


def test_more_items_than_two_bytes_can_name(tmp_path: Path) -> None:
    histories = some_histories([8, 9], items=70_000)
    histories.item[3] = 69_999
    write_transitions(tmp_path / "t.h5", [histories], **arguments(histories, items=70_000, dim=2))
    with h5py.File(tmp_path / "t.h5") as file:
        assert file["events/item"].dtype == np.int32
    assert TransitionDataset.open(tmp_path / "t.h5").item.tolist() == histories.item.tolist()


def test_rewards_and_ratings_come_from_the_scale_in_the_file(tmp_path: Path) -> None:
    scale = RatingScale(lowest=1, highest=100, step=1)
    histories = some_histories([8, 9], codes=100)
    write_transitions(tmp_path / "t.h5", [histories], **arguments(histories, scale=scale))
    data = TransitionDataset.open(tmp_path / "t.h5")
    assert data.scale == scale
    worst, best = int(histories.code.argmin()), int(histories.code.argmax())
    assert data.rating(worst) == histories.code[worst]
    expected = -4 + 9 * (histories.code.astype(float) - 1) / 99
    np.testing.assert_allclose(data.target_rewards(data.starts("all")), expected[data.starts("all") + 3], rtol=1e-6)
    assert data.rating(best) == histories.code[best]


def test_flipped_bit_and_torn_file_are_refused(tmp_path: Path) -> None:
    histories = some_histories([300] * 3)
    write_transitions(tmp_path / "t.h5", [histories], **arguments(histories))
    whole = (tmp_path / "t.h5").read_bytes()
    place = whole.index(arguments(histories)["embeddings"].tobytes()[:16])
    (tmp_path / "flipped.h5").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    (tmp_path / "torn.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "page.h5").write_text("<html>not found</html>")
    for name in ("flipped.h5", "torn.h5", "page.h5", "absent.h5"):
        with pytest.raises(DatasetError, match="expected a whole"):
            TransitionDataset.open(tmp_path / name)


def test_a_file_with_a_damaged_scale_or_reward_map_or_with_codes_beyond_it_is_refused(tmp_path: Path) -> None:
    histories = some_histories([8, 9])
    for name in ("scale", "reward", "code"):
        write_transitions(tmp_path / f"{name}.h5", [histories], **arguments(histories))
    with h5py.File(tmp_path / "scale.h5", "a") as file:
        file["events/rating"].attrs["rating_min"] = 1.0
    with h5py.File(tmp_path / "reward.h5", "a") as file:
        file["events/rating"].attrs["reward_scale"] = np.nan
    with h5py.File(tmp_path / "code.h5", "a") as file:
        file["events/rating"][2] = 11
    with pytest.raises(DatasetError, match="attributes of one rating scale"):
        TransitionDataset.open(tmp_path / "scale.h5")
    with pytest.raises(DatasetError, match="a reward map"):
        TransitionDataset.open(tmp_path / "reward.h5")
    with pytest.raises(DatasetError, match=r"of 1 … 10; found \d+ … 11"):
        TransitionDataset.open(tmp_path / "code.h5")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code": np.full(17, 11, np.uint8)}, "rating codes 1 … 10"),
        ({"code": np.zeros(17, np.uint8)}, "rating codes 1 … 10"),
        ({"item": np.full(17, 20, np.int32)}, "item indices below 20"),
        ({"item": np.full(17, -1, np.int32)}, "item indices below 20"),
        ({"timestamp": np.arange(17)[::-1]}, "time order"),
        ({"length": np.array([8, 8])}, "lengths that cover"),
        ({"length": np.array([17])}, "2 lengths"),
        ({"user_id": np.array([101, 100])}, "every user once"),
        ({"user_id": np.array([100, 7])}, "users that have a split"),
    ],
)
def test_bad_histories_are_refused_and_leave_no_file(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    histories = some_histories([8, 9])
    with pytest.raises(DatasetError, match=message):
        write_transitions(tmp_path / "t.h5", [histories._replace(**change)], **arguments(histories))
    assert not (tmp_path / "t.h5").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame": 9}, "more than 9 events"),
        ({"embeddings": np.full((20, 4), np.inf, np.float32)}, "finite embeddings"),
        ({"embeddings": np.zeros((19, 4), np.float32)}, "20 embeddings"),
        ({"split": np.zeros(3, np.uint8)}, "2 splits"),
        ({"user_ids": np.array([101, 100])}, "ascending user ids"),
        ({"provenance": {"events": "é"}}, "provenance_events: expected 1 … 1024 ASCII characters; found 'é'"),
        ({"provenance": {"events": "e" * 1025}}, "1024 ASCII characters"),
        ({"provenance": {"events": ""}}, "1024 ASCII characters"),
    ],
)
def test_bad_arguments_are_refused_and_leave_no_file(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    histories = some_histories([8, 9])
    with pytest.raises(DatasetError, match=message):
        write_transitions(tmp_path / "t.h5", [histories], **(arguments(histories) | change))
    assert not (tmp_path / "t.h5").exists()


def test_a_user_in_two_blocks_is_refused(tmp_path: Path) -> None:
    histories = some_histories([8, 9])
    with pytest.raises(DatasetError, match="every user once"):
        write_transitions(tmp_path / "t.h5", [histories, histories], **arguments(histories))


def test_time_order_is_checked_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transitions_writer, "EVENT_CHUNK", 4)
    histories = some_histories([8, 9])
    write_transitions(tmp_path / "t.h5", [histories], **arguments(histories))
    for place in range(1, 17):
        times = np.sort(histories.timestamp)
        times[:place] += 2000
        spoilt = histories._replace(timestamp=times)
        if place == 8:  # another user begins
            write_transitions(tmp_path / "t.h5", [spoilt], **arguments(histories))
            continue
        with pytest.raises(DatasetError, match="time order"):
            write_transitions(tmp_path / "t.h5", [spoilt], **arguments(histories))
