"""The first-hour example trains, masks, ranks and prints what it says."""

import importlib.util
import math
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from rankings_support import small_dataset

from storage.dataset.reader import TransitionDataset

SCRIPT = Path(__file__).parents[3] / "examples" / "first_hour.py"
spec = importlib.util.spec_from_file_location("first_hour", SCRIPT)
assert spec is not None
assert spec.loader is not None
first_hour = importlib.util.module_from_spec(spec)
sys.modules["first_hour"] = first_hour
spec.loader.exec_module(first_hour)


@pytest.fixture
def data(tmp_path: Path) -> TransitionDataset:
    data = small_dataset(tmp_path / "transitions.h5")
    titles = pa.table({"title": [f"Movie {item}" for item in range(data.items)]})
    pq.write_table(titles, tmp_path / "items.parquet")
    return data


def test_main_prints_ten_unseen_titles_and_the_metric(
    data: TransitionDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ranking = first_hour.main([str(tmp_path), "--steps", "20"])
    seen, _ = data.histories(data.last_starts("validation", max_per_user=1)[:1])
    assert len(set(ranking.titles)) == 10
    assert not {f"Movie {int(item)}" for item in seen[0]} & set(ranking.titles)
    assert 0 <= ranking.ndcg <= 1
    printed = capsys.readouterr().out
    assert f"   1. {ranking.titles[0]}" in printed
    assert f"NDCG@10 on validation users: {ranking.ndcg:.4f}" in printed


def test_training_moves_the_actions_towards_the_logged_ones(data: TransitionDataset) -> None:
    batch = data.gather(data.starts("train"))
    torch.manual_seed(0)
    before = (first_hour.train(data, 0).act(batch.observation) - batch.action).square().mean()
    torch.manual_seed(0)
    after = (first_hour.train(data, 200).act(batch.observation) - batch.action).square().mean()
    assert after < 0.9 * before


def test_the_target_networks_move_with_the_actor_only() -> None:
    torch.manual_seed(0)
    agent = first_hour.TD3(observation_dim=5, action_dim=3, max_action=1.0)
    start = [weight.clone() for weight in agent.target_actor.parameters()]
    batch = torch.randn(8, 5), torch.randn(8, 3), torch.randn(8)
    agent.update(*batch)
    assert all(torch.equal(old, new) for old, new in zip(start, agent.target_actor.parameters(), strict=True))
    agent.update(*batch)
    assert not all(torch.equal(old, new) for old, new in zip(start, agent.target_actor.parameters(), strict=True))


def test_a_terminal_transition_has_its_reward_as_target() -> None:
    torch.manual_seed(0)
    agent = first_hour.TD3(observation_dim=5, action_dim=3, max_action=1.0)
    reward, state = torch.tensor([4.0, 4.0]), torch.randn(2, 5)
    target = agent.target(reward, state, torch.tensor([1.0, 0.0]))
    assert float(target[0]) == 4.0
    assert float(target[1]) != 4.0


def test_ndcg_counts_the_first_ten_places() -> None:
    scores = torch.arange(20.0).flip(0).repeat(3, 1)
    assert first_hour.ndcg_at_10(scores[:1], torch.tensor([0])) == 1.0
    expected = (1 + 1 / math.log2(11)) / 3  # first place, tenth place, eleventh place
    assert first_hour.ndcg_at_10(scores, torch.tensor([0, 9, 10])) == pytest.approx(expected)
