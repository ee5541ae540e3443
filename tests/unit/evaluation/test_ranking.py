from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from evaluation.ranking import (
    BATCH,
    bootstrap_interval,
    choose,
    judge_scorer,
    mean_by_user,
    rank_steps,
    ranking_metrics,
)
from models.errors import LearnerError
from models.histories import Histories as Known
from storage.histories import Histories
from storage.scale import RatingScale
from storage.transitions import TransitionDataset
from storage.transitions_writer import write_transitions


@pytest.fixture
def data(tmp_path: Path) -> TransitionDataset:
    """Sixty users of 4 to 30 events, some items more than once."""
    rng = np.random.default_rng(0)
    users, items = 60, 30
    length = rng.integers(4, 31, users)
    histories = Histories(
        user_id=np.arange(users),
        length=length,
        item=np.concatenate([rng.choice(items, n, replace=n % 2 == 0) for n in length]).astype(np.int32),
        code=rng.integers(1, 11, length.sum()).astype(np.uint8),
        timestamp=np.concatenate([np.arange(n) for n in length]),
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
    """Scores (T, I) drawn up beforehand, found again by the history they are for."""

    def __init__(self, data: TransitionDataset, starts: Tensor, table: Tensor) -> None:
        self.table = table
        self.row = {_key(row): place for place, row in enumerate(data.histories(starts)[0])}

    def scores(self, histories: Known) -> Tensor:
        return self.table[[self.row[_key(row)] for row in histories.items]]


def _key(items: Tensor) -> tuple[int, ...]:
    return tuple(items[items >= 0].tolist())


@pytest.mark.parametrize("values", [1, 5, 10_000])
def test_ranks_equal_a_plain_loop(data: TransitionDataset, values: int) -> None:
    """From nothing but ties to few."""
    generator = torch.Generator().manual_seed(1)
    starts = data.starts("all").flip(0)
    assert len(starts) > 2 * BATCH
    table = torch.randint(0, values, (len(starts), data.items), generator=generator).float()
    untouched = table.clone()
    ranks, best = rank_steps(data, Listed(data, starts, table), starts, k=4)
    assert torch.equal(table, untouched)
    for row, start in enumerate(starts.tolist()):
        first = int(data.offset[data.users_of(torch.tensor(start))])
        target = int(data.item[start + 3])
        seen = set(data.item[first : start + 3].tolist()) - {target}
        order = sorted(
            (item for item in range(data.items) if item not in seen), key=lambda i: (-table[row][i].item(), i)
        )
        assert ranks[row] == order.index(target)
        assert best[row].tolist()[: len(order)] == order[:4]


def test_an_oracle_is_perfect_and_a_constant_is_not(data: TransitionDataset) -> None:
    starts = data.last_starts("test", 20)
    oracle = torch.nn.functional.one_hot(data.target_items(starts), data.items).float()
    result = judge_scorer(data, Listed(data, starts, oracle), starts, k=10)
    assert result.metrics["ndcg@10"] == result.metrics["recall@10"] == 1
    assert result.users == int((data.offset.diff() > 3)[2::3].sum())
    flat = judge_scorer(data, Listed(data, starts, torch.zeros(len(starts), data.items)), starts, k=10)
    assert flat.metrics["recall@10"] < 0.9


def test_a_method_that_gives_nan_is_not_ranked(data: TransitionDataset) -> None:
    starts = data.last_starts("test", 2)
    with pytest.raises(LearnerError, match="NaN"):
        rank_steps(data, Listed(data, starts, torch.full((len(starts), data.items), torch.nan)), starts, k=4)


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
