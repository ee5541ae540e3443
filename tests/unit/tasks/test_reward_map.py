"""A reward map other than the default: from the dataset file to batches, the learners' bounds, and what counts as liked."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from rankings_support import small_dataset

from evaluation.protocols.cases import next_item_cases
from evaluation.protocols.ranking import rank_cases
from models.baselines.popularity import Popularity
from models.errors import LearnerError
from models.learners.policy_learning import PolicyLearning, PolicyLearningConfig
from models.learners.ranking import Ranking
from models.learners.ranking_config import RankingConfig
from models.learners.td3 import TD3Config
from storage.dataset.dense_writer import export_dense
from storage.dataset.reader import TransitionDataset
from storage.dataset.scale import RewardMap
from tasks.export import ExportParams
from tasks.learning import make_learning

TENTHS = RewardMap(scale=0.2, offset=-0.1)  # 0 … 0.9 for 0.5 … 5 stars


@pytest.fixture
def data(tmp_path: Path) -> TransitionDataset:
    return small_dataset(tmp_path / "t.h5", reward=TENTHS)


def ratings_of(data: TransitionDataset, starts: torch.Tensor) -> torch.Tensor:
    return data.scale.rating_min + data.scale.step * data.rating_code[starts + data.frame].double()


def test_batches_hold_the_maps_rewards(data: TransitionDataset) -> None:
    starts = data.starts("all")[::7]
    batch = data.gather(starts)
    expected = 0.2 * ratings_of(data, starts) - 0.1
    assert torch.allclose(batch.reward.double(), expected, atol=1e-6)
    assert torch.allclose(batch.next_observation[:, -1].double(), expected, atol=1e-6)  # the newest reward of the frame
    assert torch.equal(data.sequences(starts, 5)[1][:, -1], batch.reward)


def test_the_default_map_is_from_minus_four_to_five(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "t.h5")
    assert (data.reward.scale, data.reward.offset, data.reward_bounds) == (2, -5, (-4, 5))
    given = small_dataset(tmp_path / "g.h5", reward=RewardMap(scale=2, offset=-5))
    assert (tmp_path / "t.h5").read_bytes() == (tmp_path / "g.h5").read_bytes()
    assert given.reward == data.reward


def test_learners_refuse_rewards_outside_the_maps_bounds(data: TransitionDataset) -> None:
    assert data.reward_bounds == pytest.approx((0, 0.9))
    for config in (
        TD3Config(hidden_dim=8),
        RankingConfig.model_validate({"kernel": {"min_count": 1}, "negatives": 15}),
    ):
        learning = make_learning(config, data, 16, "cosine", "cpu", 0)
        assert learning.returns == pytest.approx((0, 0.9 / (1 - config.discount)))
        batch = learning.gather(data.starts("train")[:16])
        learning.learner.update(batch)
        (batch.reward if hasattr(batch, "reward") else batch.rewards)[-1] = 1.0
        with pytest.raises(LearnerError, match=r"rewards from 0 to 0\.9; found one outside"):
            learning.learner.update(batch)


def test_a_ranking_policy_scales_rewards_by_the_largest_and_keeps_that(data: TransitionDataset) -> None:
    config = RankingConfig.model_validate({"kernel": {"min_count": 1}, "negatives": 15})
    learner = make_learning(config, data, 16, "cosine", "cpu", 0).learner
    assert isinstance(learner, Ranking)
    assert learner.policy.config()["largest_reward"] == pytest.approx(0.9)


def test_policy_learning_imitates_what_was_rated_four_stars_or_more(data: TransitionDataset) -> None:
    learner = make_learning(PolicyLearningConfig(hidden_dim=8), data, 16, "cosine", "cpu", 0).learner
    assert isinstance(learner, PolicyLearning)
    starts = data.starts("train")
    weights = learner.weights(data.gather(starts).reward)
    assert torch.equal(weights > 0, ratings_of(data, starts) >= 4)


def test_liked_is_about_ratings_not_rewards(data: TransitionDataset, tmp_path: Path) -> None:
    other = small_dataset(tmp_path / "d.h5")
    cases = next_item_cases(data, "test", 5)
    liked = [rank_cases(one, Popularity(torch.arange(float(one.items))), cases, 10).positive for one in (data, other)]
    events, _ = cases.target_events()
    expected = (data.scale.rating_min + data.scale.step * data.rating_code[events].numpy()) >= 4
    assert 0 < expected.sum() < len(expected)
    np.testing.assert_array_equal(liked[0], expected)
    np.testing.assert_array_equal(liked[1], expected)


def test_the_dense_layout_holds_the_same_rewards(data: TransitionDataset, tmp_path: Path) -> None:
    export_dense(tmp_path / "t.h5", tmp_path / "dense.h5", splits=("train",))
    import h5py

    with h5py.File(tmp_path / "dense.h5") as file:
        assert (file.attrs["reward_scale"], file.attrs["reward_offset"]) == (0.2, -0.1)
        rewards = torch.from_numpy(file["rewards"][...])
    assert torch.equal(rewards, data.gather(data.starts("train")).reward)


def test_the_parameter_is_typed_and_bounded() -> None:
    assert ExportParams().reward is None
    assert ExportParams.model_validate({"reward": {"scale": 0.2, "offset": -0.1}}).reward == TENTHS
    for bad in (
        {"scale": 0, "offset": 0},
        {"scale": -1, "offset": 0},
        {"scale": 1},
        {"scale": float("inf"), "offset": 0},
    ):
        with pytest.raises(ValidationError):
            ExportParams.model_validate({"reward": bad})
