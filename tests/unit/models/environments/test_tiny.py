import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from models.environments import register
from models.environments.tiny import (
    DISCOUNT,
    START,
    TinyEnv,
    optimal_values,
    state_action_values,
    state_values,
    tiny_model,
)

MODEL = tiny_model()
BEST = optimal_values(MODEL)


def share_of_optimum(policy: np.ndarray) -> float:
    return float(state_values(MODEL, policy)[START] / BEST[START])


def test_gymnasium_accepts_it_by_name() -> None:
    register()
    check_env(gymnasium.make("MarqueeTiny-v0").unwrapped, skip_render_check=True)


def test_the_optimum_satisfies_bellmans_equation_and_no_single_change_improves_it() -> None:
    policy = state_action_values(MODEL, BEST).argmax(1)
    assert np.allclose(state_values(MODEL, policy), BEST)
    for state in range(len(BEST)):
        for item in range(4):
            changed = policy.copy()
            changed[state] = item
            assert state_values(MODEL, changed)[state] <= BEST[state] + 1e-9


def test_greed_and_one_step_of_improvement_do_not_suffice() -> None:
    greedy = MODEL.rewards.argmax(1)
    ahead = state_action_values(MODEL, MODEL.rewards.max(1)).argmax(1)
    improved = state_action_values(MODEL, state_values(MODEL, greedy)).argmax(1)
    assert share_of_optimum(greedy) < 0.3
    assert share_of_optimum(ahead) < 0.6
    assert share_of_optimum(improved) < 0.6


def test_the_environment_has_the_tables_chances() -> None:
    """The mean discounted return of the optimal policy, rolled out, is its value."""
    env, policy, totals = TinyEnv(), state_action_values(MODEL, BEST).argmax(1), []
    env.reset(seed=0)
    for _ in range(800):
        env.reset()
        total, discount, left = 0.0, 1.0, False
        while not left and discount > 1e-3:
            _, reward, left, _, _ = env.step(policy[env.state])
            total, discount = total + discount * reward, discount * DISCOUNT
        totals.append(total)
    assert np.mean(totals) == pytest.approx(BEST[START], rel=0.05)
