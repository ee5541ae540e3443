"""A Markov decision process small enough to be solved exactly."""

import numpy as np
import pytest

from models.off_policy.estimators import estimate, user_draws
from models.off_policy.fitted_q import LoggedSteps, folds, q_sums, q_weights

REWARD = np.array([[1.0, -1], [0, 3], [2, 0]])
MOVES = np.array([[[0.7, 0.3, 0], [0, 0.2, 0.8]], [[0.5, 0, 0.5], [0.1, 0.8, 0.1]], [[0, 1, 0], [0.9, 0, 0.1]]])
PI = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
DISCOUNT = 0.8
LENGTH = 12


def episodes(number: int, seed: int) -> tuple[LoggedSteps, np.ndarray, np.ndarray]:
    """Logged by a coin's throw; with the states (T,) and ψ (T, 6)."""
    rng = np.random.default_rng(seed)
    states, actions, state = [], [], rng.integers(3, size=number)
    for _ in range(LENGTH):
        action = rng.integers(2, size=number)
        states.append(state)
        actions.append(action)
        state = (rng.random((number, 1)) > MOVES[state, action].cumsum(1)).sum(1)
    s, a = np.stack(states, 1).ravel(), np.stack(actions, 1).ravel()
    expected = (np.eye(3)[s][:, :, None] * PI[s][:, None, :]).reshape(-1, 6)
    followed = np.arange(len(s)) % LENGTH != LENGTH - 1
    rewards = REWARD[s, a] + rng.normal(size=len(s))
    return LoggedSteps(np.arange(len(s)) // LENGTH, np.eye(6)[2 * s + a], rewards, followed), s, expected


def exact(horizon: int) -> np.ndarray:
    """Q_H of every state and action, (3, 2), by dynamic programming."""
    q = REWARD
    for _ in range(horizon - 1):
        q = REWARD + DISCOUNT * MOVES @ (PI * q).sum(1)
    return q


@pytest.mark.parametrize("horizon", [1, 2, 10])
def test_q_is_that_of_dynamic_programming(horizon: int) -> None:
    logged, _, expected = episodes(4000, seed=0)
    found = q_weights(user_draws(4000, 1, 0)[:1], q_sums(logged, expected), DISCOUNT, horizon)
    for weights, steps in zip(found, (1, horizon), strict=True):
        assert np.abs(weights.reshape(3, 2) - exact(steps)).max() < 0.12


def test_value_is_the_discounted_mean_and_a_historys_end_is_no_loss() -> None:
    """Were the last step of a history taken for the end of all reward, the value would fall far short."""
    logged, states, expected = episodes(3000, seed=1)
    weights = np.ones(len(states))
    found = estimate(
        logged, weights, expected, user_draws(3000, 60, 0), clip_quantile=1.0, discount=DISCOUNT, horizon=10
    ).fitted_q
    true = (PI * exact(10)).sum(1)[states].mean() / (DISCOUNT ** np.arange(10)).sum()
    assert found.value == pytest.approx(true, abs=0.05)
    assert found.low < true < found.high
    assert found.high - found.low < 0.2


def test_one_step_is_the_direct_method() -> None:
    logged, _, expected = episodes(50, seed=2)
    one = estimate(
        logged, np.ones(600), expected, user_draws(50, 30, 0), clip_quantile=1.0, discount=DISCOUNT, horizon=1
    )
    assert one.fitted_q == pytest.approx(one.direct)


def test_folds_part_the_users_and_one_user_alone_tells_nothing() -> None:
    for users in (1, 2, 7):
        assert (folds(users).sum(0) == 1).all()
        assert np.ptp(folds(users).sum(1)) <= 1
    logged, _, expected = episodes(1, seed=3)
    found = estimate(
        logged, np.ones(LENGTH), expected, user_draws(1, 20, 0), clip_quantile=1.0, discount=DISCOUNT, horizon=3
    )
    assert np.isnan([*found.direct, *found.fitted_q, *found.doubly_robust]).all()
    assert found.importance.value == pytest.approx(logged.rewards.mean())
