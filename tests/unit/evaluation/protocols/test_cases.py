from pathlib import Path

import numpy as np
import pytest
import torch
from unit.storage.dataset.transitions_support import written

from evaluation.evaluate import EvaluateParams, all_cases
from evaluation.protocols.cases import (
    Cases,
    at_most,
    fold_in_cases,
    mult_vae_cases,
    next_item_cases,
    validation_cases,
)
from storage.dataset.reader import TransitionDataset
from storage.errors import DatasetError


def taken_apart(data: TransitionDataset, cases: Cases) -> list[tuple[int, list[int], list[int]]]:
    """Per case the user, the known items and the target event rows."""
    events, offset = cases.target_events()
    histories = cases.histories(data, torch.arange(len(cases)))
    return [
        (int(user), items[items >= 0].tolist(), events[offset[row] : offset[row + 1]].tolist())
        for row, (user, items) in enumerate(zip(cases.users, histories.items, strict=True))
    ]


def test_next_item_cases_are_the_last_transitions(data: TransitionDataset) -> None:
    cases = next_item_cases(data, "test", per_user=2)
    starts = data.last_starts("test", 2)
    for start, (user, known, targets) in zip(starts.tolist(), taken_apart(data, cases), strict=True):
        first = int(data.offset[user])
        assert data.user_split[user] == 2
        assert known == data.item[first : start + 3].tolist()
        assert targets == [start + 3]


def test_a_fold_in_case_asks_for_all_the_rest(data: TransitionDataset) -> None:
    asked = {user: (known, targets) for user, known, targets in taken_apart(data, fold_in_cases(data, "test"))}
    for user in np.flatnonzero(data.user_split == 2).tolist():
        first, end = data.offset[user : user + 2].tolist()
        cut = int((end - first) * 0.8)
        if cut >= 3:
            assert asked.pop(user) == (data.item[first : first + cut].tolist(), list(range(first + cut, end)))
    assert not asked


def test_a_fold_in_case_of_the_time_split_breaks_at_the_time_cut(data: TransitionDataset) -> None:
    found = taken_apart(data, fold_in_cases(data, "time"))
    assert found
    for user, known, targets in found:
        first, end = data.offset[user : user + 2].tolist()
        assert data.user_split[user] == 0
        assert (len(known), targets) == (13, list(range(first + 13, end)))


def test_mult_vae_cases_hold_out_a_fifth_of_what_was_liked(data: TransitionDataset) -> None:
    cases = mult_vae_cases(data, "test", seed=3)
    found = taken_apart(data, cases)
    assert found
    for user, known, targets in found:
        first, end = data.offset[user : user + 2].tolist()
        liked = [event for event in range(first, end) if data.rating(event) >= 4]
        assert set(targets) <= set(liked)
        assert len(targets) == max(1, int(len(liked) * 0.2))
        assert known == [int(data.item[event]) for event in liked if event not in targets]
    assert taken_apart(data, mult_vae_cases(data, "test", seed=3)) == found
    assert taken_apart(data, mult_vae_cases(data, "test", seed=4)) != found


def test_without_validation_users_nothing_can_be_chosen(data: TransitionDataset) -> None:
    data.user_split[:] = 0
    with pytest.raises(DatasetError, match=r"validation: expected users .* Raise export\.splits\.validation"):
        validation_cases(data, 10, 0)


def test_no_step_after_the_time_cut_chooses_anything(data: TransitionDataset) -> None:
    cases = validation_cases(data, 2000, 0)
    times = data.timestamps()[cases.targets[:, 0].numpy()]
    every = data.last_starts("validation", 20) + data.frame
    assert (data.timestamps()[every.numpy()] > data.head.time_cut).any()
    assert (times <= data.head.time_cut).all()
    assert (data.user_split[cases.users.numpy()] == 1).all()
    assert len(cases) > 0


def test_choose_keeps_order_and_size() -> None:
    chosen = at_most(torch.arange(100), 10, seed=0)
    assert len(chosen) == 10
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert at_most(torch.arange(5), 10, 0).tolist() == [0, 1, 2, 3, 4]


def test_leave_one_out_has_next_items_only(tmp_path: Path) -> None:
    lengths = [6, 9, 30, 4]
    more = {"mode": "leave-one-out", "split": np.zeros(4, np.uint8)}
    data = written(tmp_path, lengths, **more)
    for split, back in (("test", 1), ("validation", 2)):
        found = taken_apart(data, next_item_cases(data, split, 20))  # type: ignore[arg-type]
        assert [user for user, _, _ in found] == [0, 1, 2]
        for user, known, targets in found:
            first, end = data.offset[user : user + 2].tolist()
            assert (known, targets) == (data.item[first : end - back].tolist(), [end - back])
    assert [(one.split, one.protocol) for one in all_cases(data, EvaluateParams())] == [
        ("test", "next-item"),
        ("validation", "next-item"),
    ]
    for refused in (fold_in_cases, mult_vae_cases):
        with pytest.raises(DatasetError, match="expected a dataset split by users; found leave-one-out"):
            refused(data, "test")
