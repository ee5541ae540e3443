from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evaluation.protocols.cases import next_item_cases
from evaluation.protocols.diversity import (
    LeaveOut,
    jaccard,
    list_distances,
    mean_distinct,
    mean_of_pairs,
    sample_distances,
)
from models.histories import Histories
from storage.dataset.reader import TransitionDataset


class Echo:
    """Scores items by how lately they were chosen, or by nothing of the history."""

    def __init__(self, items: int, listens: bool) -> None:
        self.items, self.listens = items, listens
        self.heard: list[Histories] = []

    def scores(self, histories: Histories) -> torch.Tensor:
        self.heard.append(histories)
        scores = torch.arange(self.items, 0.0, -1.0).repeat(len(histories.items), 1)
        shift = histories.items[:, -1:] * self.listens
        return scores.gather(1, (torch.arange(self.items) - shift) % self.items)


def sets_of(lists: np.ndarray) -> list[set[int]]:
    return [{int(item) for item in row if item >= 0} for row in lists]


@st.composite
def lists(draw: st.DrawFn) -> np.ndarray:
    rows, k = draw(st.integers(2, 6)), draw(st.integers(1, 5))
    drawn = [draw(st.permutations(range(8)))[:k] for _ in range(rows)]
    short = draw(arrays(bool, (rows, k)))
    return np.where(short, -1, np.array(drawn))


@given(lists())
def test_jaccard_is_that_of_sets(found: np.ndarray) -> None:
    def alike(a: set[int], b: set[int]) -> float:
        return len(a & b) / len(a | b) if a | b else 1.0

    sets = sets_of(found)
    expected = [alike(a, b) for a, b in zip(sets, sets[1:] + sets[:1], strict=True)]
    np.testing.assert_allclose(jaccard(found, np.roll(found, -1, axis=0)), expected)
    pairs = [1 - alike(a, b) for a, b in combinations(sets, 2)]
    assert mean_of_pairs(list_distances(found)) == pytest.approx(np.mean(pairs))


def test_one_user_has_nobody_to_differ_from() -> None:
    assert mean_of_pairs(list_distances(np.arange(5).reshape(1, 5))) is None
    assert mean_of_pairs(list_distances(np.empty((0, 5), dtype=np.int64))) is None


def test_distinct_items_of_drawn_users() -> None:
    same, own = np.tile(np.arange(20), (60, 1)), np.arange(60 * 20).reshape(60, 20)
    assert mean_distinct(same, 50, 5, seed=0) == 20
    assert mean_distinct(own, 50, 5, seed=0) == 1000
    half = np.where(np.arange(60)[:, None] % 2 == 0, same, own)
    assert mean_distinct(half, 50, 5, seed=0) == mean_distinct(half, 50, 5, seed=0)
    assert 300 < mean_distinct(half, 50, 5, seed=0) < 700
    assert mean_distinct(own[:3], 50, 5, seed=0) == 60
    assert mean_distinct(own[:0], 50, 5, seed=0) is None


def test_leaving_out_moves_older_events_up() -> None:
    histories = Histories(torch.tensor([[1, 2, 3, 4], [-1, 7, 8, 9]]), torch.tensor([[1.0, 2, 3, 4], [0, 7, 8, 9]]))
    echo = Echo(10, listens=True)
    LeaveOut(echo, 1).scores(histories)
    assert echo.heard[0].items.tolist() == [[1, 2, 4], [-1, 7, 9]]
    assert echo.heard[0].rewards.tolist() == [[1, 2, 4], [0, 7, 9]]


def test_only_who_listens_differs_between_samples(data: TransitionDataset) -> None:
    cases = next_item_cases(data, "test", per_user=1)
    known = cases.known[:, 1] - cases.known[:, 0]
    assert not sample_distances(data, Echo(data.items, listens=False), cases, (0, 1, 2), k=5).any()
    listens = sample_distances(data, Echo(data.items, listens=True), cases, (0, 1, 2), k=5)
    assert len(listens) == int((known > data.frame).sum())
    assert 0 < listens.mean() < 1
    assert not sample_distances(data, Echo(data.items, listens=True), cases, (1, 2), k=5).any()  # the latest is in both


def test_cases_of_a_bare_frame_have_no_samples(data: TransitionDataset) -> None:
    cases = next_item_cases(data, "test", per_user=100)
    known = cases.known[:, 1] - cases.known[:, 0]
    echo = Echo(data.items, listens=True)
    sample_distances(data, echo, cases, (0, 2), k=5)
    assert sum(len(heard.items) for heard in echo.heard) == 2 * int((known > data.frame).sum()) < 2 * len(cases)
