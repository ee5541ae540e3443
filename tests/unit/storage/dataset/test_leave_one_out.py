"""Leave-one-out: what is held out is in no training transition, and every user with enough events has one case of each."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from unit.storage.dataset.hostile_support import attribute, spoilt
from unit.storage.dataset.test_format import extended
from unit.storage.dataset.transitions_support import arguments, some_histories, written

from storage.dataset.compact_source import CompactSource
from storage.dataset.reader import TransitionDataset
from storage.dataset.splits import SplitParams, before_held_out, split_users, time_cut, train_until
from storage.dataset.writer import write_transitions
from storage.errors import DatasetError

FRAME = 3


def left_out(folder: Path, lengths: list[int], seed: int = 0) -> TransitionDataset:
    """A leave-one-out dataset; some_histories() gives times below 1000."""
    return written(folder, lengths, seed, mode="leave-one-out", split=np.zeros(len(lengths), np.uint8), time_cut=1000)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 14), min_size=1, max_size=8).filter(lambda found: max(found) > FRAME), st.integers(1, 5))
@example([5, 4, 3, 6, 0, 14], 2)
def test_what_is_held_out_is_in_no_training_transition(lengths: list[int], length: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = left_out(Path(folder), lengths)
        train = data.starts("train")
        compact = CompactSource(data.path, "train")
        enough = [user for user, number in enumerate(lengths) if number >= FRAME + 2]
        ends = data.offset[1:]
        for split, back in (("validation", 2), ("test", 1)):
            expected = [int(ends[user]) - back - FRAME for user in enough]
            assert data.starts(split).tolist() == expected  # type: ignore[arg-type]
            assert data.last_starts(split, 20, before_cut=split == "validation").tolist() == expected  # type: ignore[arg-type]
        held_out = (torch.cat((data.starts("validation"), data.starts("test"))) + FRAME).tolist()
        expected = [start for user in enough for start in range(int(data.offset[user]), int(ends[user]) - 2 - FRAME)]
        assert train.tolist() == expected
        assert int(compact.rows.sum()) == len(expected)
        assert not set(held_out) & {event for start in expected for event in range(start, start + FRAME + 1)}
        users, _, _, _ = data.training_events()
        assert torch.bincount(users, minlength=len(lengths)).tolist() == [max(number - 2, 0) for number in lengths]
        assert len(data.starts("time")) == 0
        assert ((train + FRAME + data.steps_left(train)) == ends[data.users_of(train)] - 2).all()
        windows = data.window_starts("train", length)
        actions = [
            action
            for start in windows.tolist()
            for action in range(start + FRAME, start + FRAME - length, -1)
            if action >= int(data.offset[data.users_of(torch.tensor([start]))]) + FRAME
        ]
        assert sorted(actions) == [start + FRAME for start in expected]


def test_sequences_that_are_trained_on_end_before_the_last_two_events(tmp_path: Path) -> None:
    data = left_out(tmp_path, [9, 12, 5])
    unique = torch.arange(len(data.item), dtype=torch.int32)
    data.item = unique  # an item names its event
    items, _, terminal = data.sequences(data.starts("train"), 50)
    held_out = {int(end) - back for end in data.offset[1:] for back in (1, 2)}
    assert not set(items.flatten().tolist()) & held_out
    assert not terminal.any()


def test_facts_count_the_transitions_of_each_split(tmp_path: Path) -> None:
    histories = some_histories([9, 12, 5, 4])
    more = {"mode": "leave-one-out", "split": np.zeros(4, np.uint8)}
    facts = write_transitions(tmp_path / "t.h5", [histories], **(arguments(histories) | more))
    assert facts["transitions_by_split"] == {"train": 4 + 7 + 0, "validation": 3, "test": 3}


def test_held_out_users_are_refused(tmp_path: Path) -> None:
    histories = some_histories([9, 12, 5])
    with pytest.raises(DatasetError, match=r"training users only, with leave-one-out; found \[0, 1, 2\]"):
        write_transitions(tmp_path / "t.h5", [histories], **(arguments(histories) | {"mode": "leave-one-out"}))
    data = written(tmp_path, [9, 12, 5])
    with pytest.raises(DatasetError, match=r"split codes below 1; found \[0, 1, 2\]"):
        TransitionDataset.open(spoilt(data.path, attribute("splits", "leave-one-out")))
    with pytest.raises(DatasetError, match="expected splits train,validation,test or leave-one-out; found by-week"):
        TransitionDataset.open(spoilt(data.path, attribute("splits", "by-week")))


def test_later_events_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected splits by users; found leave-one-out"):
        extended(left_out(tmp_path, [9, 12, 5]).path)


def test_fractions_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"expected no seed, fraction or quantile.* found \{'test': 0\.3\}"):
        SplitParams(mode="leave-one-out", test=0.3)
    params = SplitParams(mode="leave-one-out")
    assert SplitParams.model_validate(params.model_dump()) == params
    assert not split_users(np.arange(50), params).any()
    assert time_cut([np.array([3, 9]), np.array([5])], params) == 9


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=6), min_size=1, max_size=6), st.integers(1, 7))
def test_features_see_no_held_out_event(times: list[list[int]], size: int) -> None:
    histories = [sorted(one) for one in times]
    every = np.concatenate([np.array(one, np.int64) for one in histories])
    number = np.array([len(one) for one in histories])
    until = before_held_out(number, [every[first : first + size] for first in range(0, len(every), size)])
    for one, last in zip(histories, until.tolist(), strict=True):
        assert last < min(one[-2:])
        assert sum(time <= last for time in one) == sum(time < min(one[-2:]) for time in one)


def test_held_out_users_are_seen_at_no_time() -> None:
    assert train_until(np.array([0, 1, 2, 0], np.uint8), 7).tolist() == [7, -1, -1, 7]
