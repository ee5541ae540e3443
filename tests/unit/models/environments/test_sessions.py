"""How long users stay in a log, by hand, and how the exit rate is set."""

import numpy as np
import pytest

from models.environments.marquee import MarqueeParams, Problem
from models.environments.mechanics import Mechanics
from models.environments.sessions import (
    logged_survival,
    mean_length,
    satisfactions,
    simulated_survival,
    with_exit_rate,
)


def test_the_survival_of_a_log_counts_users_whose_end_nobody_saw_until_then() -> None:
    lengths, ended = np.array([1, 2, 2, 5]), np.array([True, True, False, True])
    found = logged_survival(lengths, ended, horizon=4)
    assert found.tolist() == pytest.approx([1, 3 / 4, 3 / 4 * 2 / 3, 1 / 2, 1 / 2])
    assert mean_length(found) == pytest.approx(1 + 0.75 + 0.5 + 0.5)
    assert logged_survival(lengths, np.ones(4, bool), 5)[-1] == 0


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_the_exit_rate_gives_the_wanted_mean_length(slope: float) -> None:
    mechanics = Mechanics(horizon=20, exit_slope=slope)
    users = Problem.drawn(MarqueeParams(users=30, items=60, mechanics=mechanics)).users
    paths = satisfactions(users, np.arange(30), 3, np.random.default_rng(0))
    assert paths.shape == (30, 20)
    fitted = with_exit_rate(users, paths, 12.0)
    assert mean_length(simulated_survival(fitted, paths)) == pytest.approx(12.0)
    assert fitted.mechanics == mechanics.model_copy(update={"exit_rate": fitted.mechanics.exit_rate})
    assert mean_length(simulated_survival(with_exit_rate(users, paths, 20.0), paths)) == pytest.approx(20, abs=0.01)
