"""A bandit of which everything is known: three kinds of users, four items, any propensities and rewards."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.off_policy.estimators import Estimates, effective_sample_size, estimate, logged_value, user_draws
from models.off_policy.fitted_q import LoggedSteps

Floats = NDArray[np.float64]
REWARD = np.array([[1.0, 0, 2, 4], [0, 3, 1, -2], [2, 2, -1, 0]])
MU = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]])
PI = np.array([[0.1, 0.1, 0.2, 0.6], [0.2, 0.5, 0.2, 0.1], [0.7, 0.1, 0.1, 0.1]])
FLAT = np.full((3, 4), 0.25)
TRUE = float((PI * REWARD).sum(1).mean())
PER_USER = 10


class Log(NamedTuple):
    kind: NDArray[np.int64]
    action: NDArray[np.int64]
    rewards: Floats


def drawn_log(users: int, seed: int) -> Log:
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=users * PER_USER)
    action = (rng.random((len(kind), 1)) > MU[kind].cumsum(1)).sum(1)
    return Log(kind, action, REWARD[kind, action] + rng.normal(size=len(kind)))


def features(kind: NDArray[np.int64], action: NDArray[np.int64], right: bool) -> Floats:
    """One weight per kind and item, or, wrongly, one per kind alone."""
    return np.eye(12)[kind * 4 + action] if right else np.eye(3)[kind]


def evaluate(log: Log, mu: Floats, right_model: bool, clip: float = 1.0, draws: int = 40) -> Estimates:
    steps = len(log.kind)
    users = np.arange(steps) // PER_USER
    logged = LoggedSteps(users, features(log.kind, log.action, right_model), log.rewards, np.zeros(steps, bool))
    each = [features(log.kind, np.full(steps, action), right_model) for action in range(4)]
    expected = sum(PI[log.kind, action, None] * one for action, one in enumerate(each))
    weights = PI[log.kind, log.action] / mu[log.kind, log.action]
    counts = user_draws(steps // PER_USER, draws, seed=0)
    return estimate(logged, weights, np.asarray(expected), counts, clip_quantile=clip, discount=0.9, horizon=1)


def test_each_estimator_fails_and_holds_where_theory_says() -> None:
    log = drawn_log(users=4000, seed=1)
    near = pytest.approx(TRUE, abs=0.06)
    wrong_model, wrong_propensities = evaluate(log, MU, right_model=False), evaluate(log, FLAT, right_model=True)
    assert wrong_model.direct.value != pytest.approx(TRUE, abs=0.3)
    assert wrong_model.importance.value == near
    assert wrong_model.doubly_robust.value == near
    assert wrong_propensities.importance.value != pytest.approx(TRUE, abs=0.2)
    assert wrong_propensities.direct.value == near
    assert wrong_propensities.doubly_robust.value == near
    assert evaluate(log, FLAT, right_model=False).doubly_robust.value != pytest.approx(TRUE, abs=0.2)
    assert log.rewards.mean() != pytest.approx(TRUE, abs=0.3)


def test_right_propensities_make_doubly_robust_unbiased_whatever_the_model() -> None:
    """Over many small logs the mean error is a small part of one log's, and intervals hold the truth as often as they say."""
    found = [
        evaluate(drawn_log(users=60, seed=seed), MU, right_model=False, draws=200).doubly_robust for seed in range(120)
    ]
    errors = np.array([value for value, _, _ in found]) - TRUE
    assert abs(errors.mean()) < 3 * errors.std() / np.sqrt(len(errors))
    held = np.mean([low <= TRUE <= high for _, low, high in found])
    assert 0.88 <= held <= 1


def test_doubly_robust_needs_fewer_steps_than_weighting() -> None:
    found = [evaluate(drawn_log(users=60, seed=seed), MU, right_model=True, draws=20) for seed in range(60)]
    robust, weighted = (np.std([getattr(one, name).value for one in found]) for name in ("doubly_robust", "importance"))
    assert robust < 0.8 * weighted


def test_mean_weight_tells_wrong_propensities() -> None:
    log = drawn_log(users=2000, seed=2)
    assert evaluate(log, MU, right_model=True).mean_weight.value == pytest.approx(1, abs=0.03)
    assert evaluate(log, MU[::-1], right_model=True).mean_weight.value != pytest.approx(1, abs=0.1)


def test_clipping_takes_the_largest_weights_to_the_quantile() -> None:
    log = drawn_log(users=500, seed=3)
    whole, cut = evaluate(log, MU, right_model=False), evaluate(log, MU, right_model=False, clip=0.9)
    assert whole.clipped == 0
    assert whole.clip == pytest.approx(6)
    assert cut.clip < 6
    assert 0 < cut.clipped < 0.5
    assert cut.effective_steps == whole.effective_steps
    assert cut.effective_users > whole.effective_users


def alone(features: Floats, rewards: Floats, weights: Floats, users: NDArray[np.int64], clip: float) -> Estimates:
    """Of steps that nothing follows, by a policy that chooses as the log does on average."""
    logged = LoggedSteps(users, features, rewards, np.zeros(len(users), bool))
    counts = user_draws(int(users[-1]) + 1, 20, 0)
    return estimate(logged, weights, features, counts, clip_quantile=clip, discount=0.9, horizon=1)


@pytest.mark.parametrize(("steps", "largest", "clip"), [(1, 4.0, 1.0), (2, 4.0, 1.0), (1, 400.0, 0.5 + 1.5 / 399)])
def test_effective_users_are_of_the_weights_that_users_have(steps: int, largest: float, clip: float) -> None:
    """Of 1, 1, 4 and 0, however many steps a user has them from, and where 4 is left of 400."""
    users = np.repeat(np.arange(4), [1, 1, steps, 1])
    ones = np.ones((len(users), 1))
    found = alone(ones, ones[:, 0], np.array([1.0, 1, largest, 0])[users], users, clip)
    assert found.clip == pytest.approx(4)
    assert found.effective_users == pytest.approx(6**2 / 18)


def test_correction_is_doubly_robust_less_direct_with_an_interval_of_its_own() -> None:
    log = drawn_log(users=300, seed=5)
    right, wrong = (evaluate(log, MU, right_model=right, draws=200) for right in (True, False))
    assert right.correction.low < 0 < right.correction.high
    assert wrong.correction.low > 0.2
    assert wrong.correction.value == pytest.approx(wrong.doubly_robust.value - wrong.direct.value)
    narrow, *others = (value.high - value.low for value in (right.correction, right.doubly_robust, right.direct))
    assert narrow < 0.7 * min(others)  # the two move together from draw to draw


def test_the_reward_model_speaks_of_users_whom_it_was_not_fitted_on() -> None:
    """Rewards are chance and features many: fitted on the same users, the model would foresee most of every reward."""
    rng = np.random.default_rng(6)
    features, rewards = rng.normal(size=(200, 90)), rng.normal(size=200)
    found = alone(features, rewards, (rewards > 0).astype(float), np.arange(200), 1.0)
    assert found.correction.value == pytest.approx(rewards[rewards > 0].mean(), abs=0.25)


def test_a_policy_nobody_followed_has_no_weighed_value() -> None:
    log = drawn_log(users=20, seed=4)
    steps = len(log.kind)
    one = np.ones((steps, 1))
    logged = LoggedSteps(np.arange(steps) // PER_USER, one, log.rewards, np.zeros(steps, bool))
    counts = user_draws(20, 30, 0)
    found = estimate(logged, np.zeros(steps), one, counts, clip_quantile=0.99, discount=0.9, horizon=1)
    assert found.effective_users == found.effective_steps == 0
    assert np.isnan([*found.importance, *found.doubly_robust, *found.correction]).all()
    assert found.direct.value == pytest.approx(log.rewards.mean(), abs=0.01)


def test_users_count_alike_however_many_steps_they_have() -> None:
    logged = LoggedSteps(
        np.array([0, 1, 1, 1]), np.ones((4, 1)), np.array([4.0, 0, 0, 0]), np.array([False, True, True, False])
    )
    value, low, high = logged_value(logged, user_draws(2, 200, 0))
    assert (value, low, high) == (2, 0, 4)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=50), st.floats(1e-2, 1e2))
def test_effective_sample_size_is_between_one_and_all_and_has_no_unit(weights: list[float], unit: float) -> None:
    found = effective_sample_size(np.array(weights))
    assert 1 - 1e-9 <= found <= len(weights) + 1e-9
    assert effective_sample_size(unit * np.array(weights)) == pytest.approx(found)
    assert effective_sample_size(np.full(7, unit)) == pytest.approx(7)


def test_draws_are_seeded_and_begin_with_everybody() -> None:
    counts = user_draws(9, 5, seed=3)
    assert counts.shape == (6, 9)
    assert (counts[0] == 1).all()
    assert (counts.sum(1) == 9).all()
    assert (counts == user_draws(9, 5, seed=3)).all()
