from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from evaluation.ranking import bootstrap_interval, choose, judge_scorer, mean_by_user, rank_steps, ranking_metrics
from models.histories import Histories as Known
from storage.histories import Histories
from storage.scale import RatingScale
from storage.transitions import TransitionDataset
from storage.transitions_writer import write_transitions


@pytest.fixture
def data(tmp_path: Path) -> TransitionDataset:
    rng = np.random.default_rng(0)
    users, length, items = 9, 12, 30
    histories = Histories(
        user_id=np.arange(users),
        length=np.full(users, length),
        item=np.concatenate([rng.permutation(items)[:length] for _ in range(users)]).astype(np.int32),
        code=rng.integers(1, 11, users * length).astype(np.uint8),
        timestamp=np.tile(np.arange(length), users),
    )
    write_transitions(
        tmp_path / "t.h5",
        [histories],
        user_ids=histories.user_id,
        split=(np.arange(users) % 3).astype(np.uint8),
        movie_ids=np.arange(items),
        embeddings=rng.normal(size=(items, 4)).astype(np.float32),
        scale=RatingScale(),
        frame=3,
        time_cut=99,
        provenance={},
    )
    return TransitionDataset.open(tmp_path / "t.h5")


class Listed:
    """Scores that were drawn up beforehand, batch by batch."""

    def __init__(self, table: Tensor) -> None:
        self.parts = iter(table.split(256))

    def scores(self, histories: Known) -> Tensor:
        part = next(self.parts)
        assert len(part) == len(histories.items)
        return part


def test_ranks_equal_a_plain_loop(data: TransitionDataset) -> None:
    generator = torch.Generator().manual_seed(1)
    table = torch.randint(0, 5, (len(data.item), data.items), generator=generator).float()  # many ties
    starts = data.last_starts("test", 5)
    ranks, best = rank_steps(data, Listed(table[: len(starts)]), starts, k=4)
    for row, start in enumerate(starts.tolist()):
        first = int(data.offset[data.users_of(torch.tensor(start))])
        seen = set(data.item[first : start + 3].tolist())
        order = sorted(
            (item for item in range(data.items) if item not in seen), key=lambda i: (-table[row][i].item(), i)
        )
        target = int(data.item[start + 3])
        assert ranks[row] == order.index(target)
        assert best[row].tolist() == order[:4]


def test_an_oracle_is_perfect_and_a_constant_is_not(data: TransitionDataset) -> None:
    starts = data.last_starts("test", 20)
    oracle = torch.nn.functional.one_hot(data.target_items(starts), data.items).float()
    result = judge_scorer(data, Listed(oracle), starts, k=10)
    assert result.metrics["ndcg@10"] == result.metrics["recall@10"] == 1
    assert result.users == 3
    flat = judge_scorer(data, Listed(torch.zeros(len(starts), data.items)), starts, k=10)
    assert flat.metrics["recall@10"] < 0.9


def test_values_worked_by_hand() -> None:
    ranks = np.array([0, 2, 10, 9])
    result = ranking_metrics(
        ranks,
        np.array([[0, 1], [0, 2], [1, 1], [0, 1]]),
        np.array([7, 7, 8, 8]),
        np.array([True, False, False, True]),
        6,
        k=10,
    )
    assert np.isclose(result.metrics["ndcg@10"], ((1 + 0.5) / 2 + (0 + 1 / np.log2(11)) / 2) / 2)
    assert result.metrics["recall@10"] == (1 + 0.5) / 2
    assert result.metrics["recall@10_liked"] == 1
    assert result.metrics["coverage@10"] == 0.5


def test_means_are_by_user_first() -> None:
    assert mean_by_user(np.array([1.0, 0, 0, 1]), np.array([5, 5, 5, 9])).tolist() == [1 / 3, 1]


def test_interval_holds_the_mean_and_is_seeded() -> None:
    values = np.random.default_rng(0).normal(size=200)
    low, high = bootstrap_interval(values, 1)
    assert low < values.mean() < high
    assert bootstrap_interval(values, 1) == (low, high)


def test_choose_keeps_order_and_size() -> None:
    chosen = choose(torch.arange(100), 10, seed=0)
    assert len(chosen) == 10
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert choose(torch.arange(5), 10, 0).tolist() == [0, 1, 2, 3, 4]
