"""What surrounds the training with simulated users: which users, which log, what is refused."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from rankings_support import small_dataset
from safetensors.torch import save_file

from evaluation.fitted_dataset import FittedDataset, FittedParams
from evaluation.simulated_dataset import SimulatedDataset, Truth
from models.environments.logs import Log
from models.environments.mechanics import Mechanics
from models.environments.users import SimulatedUsers
from models.environments.world import draw_world
from models.errors import PolicyError
from models.learners.td3 import TD3Config
from models.nearest import Similarity
from models.online.params import method_of
from tasks.learning import make_learning
from tasks.train_online import (
    MissingPackageError,
    actor_of,
    liked_choices,
    need_stable_baselines,
    training_problem,
)


def simulated(path: Path) -> SimulatedDataset:
    """A dataset beside users who are not those of its ratings, but as many."""
    data = small_dataset(path)
    world = draw_world(np.random.default_rng(0), len(data.user_ids), len(data.movie_ids))
    nothing = Log(*(np.zeros(0) for _ in Log._fields))
    users = SimulatedUsers(world, Mechanics())
    return SimulatedDataset(Truth(users, nothing, data.user_ids, data.movie_ids), data)


def test_only_training_users_are_trained_with(tmp_path: Path) -> None:
    made = simulated(tmp_path / "t.h5")
    training = made.data.user_split == 0
    assert 0 < training.sum() < len(training)
    problem = training_problem(made)
    drawn = problem.acting_by("embedding").some_users(1000, np.random.default_rng(0))
    assert set(drawn) == set(np.flatnonzero(training))


def test_gail_s_log_is_what_training_users_liked(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "t.h5")
    observations, actions = liked_choices(data, 0)
    starts = data.starts("train")
    liked = starts[data.liked(starts + data.frame)]
    assert 0 < len(liked) < len(starts)
    expected = data.gather(liked)
    assert len(actions) == len(liked)
    assert torch.allclose(actions.sum(0), expected.action.sum(0), atol=1e-4)
    assert observations.shape == expected.observation.shape


def test_a_missing_package_is_named_with_the_extra_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(MissingPackageError, match=r"found none\. Install it .* pip install 'marquee\[online\]'"):
        need_stable_baselines()


def test_users_of_a_dataset_without_a_sample_are_fitted_to_it(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "t.h5")
    made = FittedDataset.for_training(data, FittedParams(steps=20, paths=2))
    drawn = training_problem(made).some_users(1000, np.random.default_rng(0))
    assert set(drawn) == set(made.rows[(data.user_split == 0)])
    assert not (made.rows[data.user_split == 2] >= 0).any()  # test users are not in the world


@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "dot"])
def test_only_a_policy_that_ranks_by_cosine_similarity_is_fine_tuned(tmp_path: Path, similarity: Similarity) -> None:
    data = small_dataset(tmp_path / "t.h5")
    policy = make_learning(TD3Config(hidden_dim=8), data, 16, similarity, "cpu", 0).policy
    save_file(policy.tensors(), tmp_path / "policy.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(policy.config()))
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(data.embedding.numpy().reshape(-1)), data.dim)
    pq.write_table(pa.table({"movie_id": data.movie_ids, "embedding": vectors}), tmp_path / "items.parquet")
    if similarity == "cosine":
        assert actor_of(tmp_path, data).hidden_dim == 8
    else:
        with pytest.raises(PolicyError, match=f"cosine similarity; found {similarity}"):
            actor_of(tmp_path, data)


def test_the_report_knows_the_method_of_a_fine_tuned_policy() -> None:
    assert method_of("online_ppo_from_iql") == method_of("online_ppo") is not None
    assert method_of("iql") is None
