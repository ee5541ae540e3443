"""Users fitted to a dataset of simulated users, of whom the truth is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from rankings_support import small_dataset
from unit.evaluation.off_policy.off_policy_support import Generated, generated

from evaluation.fitted_dataset import FittedDataset, FittedParams, NoEnvironmentError
from evaluation.validation_return import ValidationReturn
from models.environments.controls import Chooser, greedy, most_popular, of_policy, planned, random_items, static_ranker
from models.environments.fitted import STRENGTHS, Strength
from models.environments.marquee import MarqueeEnv, Problem
from models.environments.mechanics import MECHANISMS, Mechanics
from models.environments.returns import returns_of
from models.environments.sessions import mean_length, simulated_survival
from models.environments.users import SimulatedUsers
from models.histories import Histories
from tasks.sample import SampleParams

PARAMS = FittedParams(mechanics=Mechanics(appeal=0, horizon=30), steps=200)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generated(tmp_path_factory.mktemp("sample"), SampleParams(users=300, movies=150))


@pytest.fixture(scope="module")
def fitted(data: Generated) -> FittedDataset:
    return FittedDataset(data.dataset, PARAMS)


def test_fitted_tastes_are_like_the_true_ones(fitted: FittedDataset, data: Generated) -> None:
    """Of test users, who differ in what they like beyond what everybody likes."""
    test = data.dataset.user_split == 2
    true = data.simulated.users.world.affinity(data.simulated.rows[test])
    found = fitted.users.world.affinity(fitted.rows[test])
    chosen = data.dataset.training_events()[1].bincount(minlength=data.dataset.items).numpy() > 20
    assert np.corrcoef(true[:, chosen].ravel(), found[:, chosen].ravel())[0, 1] > 0.35
    each = [np.corrcoef(*pair)[0, 1] for pair in zip(true[:, chosen], found[:, chosen], strict=True)]
    assert np.mean(each) > 0.35


def test_later_events_of_test_users_change_nothing(fitted: FittedDataset, data: Generated) -> None:
    later, codes = fitted.later("test").events, data.dataset.rating_code
    try:
        data.dataset.rating_code = codes.clone()
        data.dataset.rating_code[later] = 11 - codes[later]
        other = FittedDataset(data.dataset, PARAMS)
    finally:
        data.dataset.rating_code = codes
    for one, same in zip(fitted.users.world, other.users.world, strict=True):
        assert np.array_equal(one, same)
    assert (fitted.users.ratings, fitted.users.mechanics) == (other.users.ratings, other.users.mechanics)
    assert fitted.users.choices.affinity == other.users.choices.affinity


def test_the_rest_of_each_history_is_later(fitted: FittedDataset, data: Generated) -> None:
    later = fitted.later("test")
    of_user = data.dataset.users_of(later.events)
    assert np.array_equal(fitted.rows[of_user.numpy()], later.users.numpy())
    length = data.dataset.offset.diff()
    for user in np.flatnonzero(data.dataset.user_split == 2)[:20]:
        events = later.events[of_user == user]
        assert len(events) == length[user] - int(0.8 * length[user])
        assert int(events.max()) == data.dataset.offset[user + 1] - 1


@pytest.mark.parametrize("strength", STRENGTHS, ids=lambda one: one.name)
def test_users_stay_as_long_as_those_of_the_log_at_every_strength(fitted: FittedDataset, strength: Strength) -> None:
    users = fitted.with_strength(strength)
    found = mean_length(simulated_survival(users, fitted.paths(users, "validation")))
    assert found == pytest.approx(mean_length(fitted.logged_survival("validation")), rel=0.02)
    assert users.mechanics.boredom == strength.boredom


def test_no_plan_beats_greed_without_mechanisms(fitted: FittedDataset) -> None:
    nothing, everything = (fitted.with_strength(one) for one in (STRENGTHS[-1], STRENGTHS[1]))
    assert nothing.mechanics.without(*MECHANISMS) == nothing.mechanics
    rows = fitted.rows[:40]

    def value(chooser: Chooser, users: SimulatedUsers) -> float:
        return float(returns_of(chooser, users, fitted.view, rows, 0).values.mean())

    best = value(greedy, nothing)
    assert value(static_ranker, nothing) == pytest.approx(best, rel=0.03)
    for other in (planned(0.5), most_popular, random_items(0)):
        assert value(other, nothing) < best
    assert value(planned(0.5), everything) > 1.05 * value(greedy, everything)


def test_policies_and_gymnasium_act_in_it(fitted: FittedDataset) -> None:
    env = MarqueeEnv(problem=Problem(fitted.users, fitted.view, "embedding"))
    observation, _ = env.reset(seed=0)
    assert observation.shape == (fitted.data.observation_dim,)
    observation, reward, *_ = env.step(env.action_space.sample())
    assert -4 <= reward <= 5


class Best:
    """Scores items by their true mean rating."""

    def __init__(self, scores: torch.Tensor) -> None:
        self.of_items = scores

    def scores(self, histories: Histories) -> torch.Tensor:
        return self.of_items.expand(len(histories.items), -1)


def test_no_return_is_measured_without_validation_users(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "t.h5")
    data.user_split[:] = 0  # as with leave-one-out
    with pytest.raises(NoEnvironmentError, match="leave-one-out has no validation users"):
        FittedDataset.for_training(data, PARAMS)


def test_the_fitted_return_is_of_validation_users_and_tells_policies_apart(data: Generated) -> None:
    fitted = FittedDataset.for_training(data.dataset, PARAMS)
    criterion = ValidationReturn(fitted, 50, seed=0)
    split, rows = data.dataset.user_split, criterion.begun.states.user
    assert (fitted.rows[split == 2] == -1).all()
    assert set(rows) <= set(fitted.rows[split == 1])
    quality = torch.from_numpy(data.rewards.mean(0))
    good, bad = criterion.of(Best(quality)), criterion.of(Best(-quality))
    assert good > bad
    alone = returns_of(of_policy(Best(quality)), fitted.users, fitted.view, rows, 0)
    assert good == alone.values.mean()
