from pathlib import Path

import numpy as np
import pytest
import torch
from unit.evaluation.off_policy.off_policy_support import STEADY, Generated, generated

from evaluation.simulated_dataset import SimulatedDataset
from models.environments.mechanics import Mechanics
from tasks.sample import SampleParams


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generated(tmp_path_factory.mktemp("sample"), SampleParams(users=700, movies=150))


def test_true_rewards_are_what_logged_ones_are_on_average(data: Generated) -> None:
    """Over the whole range of true rewards, also where stars are cut off at five."""
    starts = data.dataset.starts("all")
    expected = data.simulated.true_rewards(starts)[np.arange(len(starts)), data.dataset.target_items(starts)]
    rewards = data.dataset.target_rewards(starts).numpy()
    order = np.argsort(expected)
    for part in np.array_split(order, 8):
        assert rewards[part].mean() == pytest.approx(expected[part].mean(), abs=0.08)
    assert expected.min() >= -4
    assert expected.max() <= 5


def test_true_rewards_depend_on_the_state(data: Generated) -> None:
    """Of one user's steps some bore and some do not; a user of steady mind likes the same at all steps."""
    user = int(data.dataset.offset.diff().argmax())
    starts = torch.arange(int(data.dataset.offset[user]), int(data.dataset.offset[user]) + 20)
    assert data.simulated.true_rewards(starts).std(0).max() > 0.5


def test_steady_users_like_the_same_at_all_steps(tmp_path: Path) -> None:
    steady = generated(tmp_path, SampleParams(users=40, movies=80, mechanics=STEADY))
    starts = steady.dataset.starts("all")
    of_user = steady.rewards[steady.dataset.users_of(starts).numpy()]
    assert np.allclose(steady.simulated.true_rewards(starts), of_user, atol=1e-5)


def test_a_dataset_of_other_ratings_does_not_belong(data: Generated, tmp_path: Path) -> None:
    other = generated(tmp_path, SampleParams(users=700, movies=150, seed=8, mechanics=Mechanics(exit_rate=0.01)))
    assert SimulatedDataset.belongs(data.truth, data.dataset)
    assert not SimulatedDataset.belongs(data.truth, other.dataset)
