import numpy as np
from unit.models.online.online_support import PROBLEM

from models.environments.episodes import Episodes
from models.online.true_states import true_state_dim, true_states


def test_users_who_react_differently_have_different_states() -> None:
    """Each number of a user's state that reactions depend on is in the vector."""
    users = PROBLEM.users
    states = Episodes(users, PROBLEM.view, np.zeros(1, dtype=np.int64), np.random.default_rng(0)).states
    before = true_states(users, states)
    assert before.shape == (1, true_state_dim(users))
    assert np.abs(before).max() < 10
    for name, value in (("user", 1), ("satisfaction", 2.5), ("latest", 3), ("bored", 7), ("steps", 9)):
        other = states.of(np.zeros(1, dtype=np.int64))
        getattr(other, name)[...] = value
        assert not np.array_equal(true_states(users, other), before), name


def test_a_topic_that_bores_is_told_from_one_that_bored_long_ago() -> None:
    """Topic 2 bores for 5 of 10 more items and was that of 1 of the 5 latest."""
    users = PROBLEM.users
    states = users.start(np.zeros(1, dtype=np.int64))
    states.bored[0, 2], states.latest[0, -1] = 5, 2
    found = true_states(users, states)[0]
    topics, taste = users.world.topic_count, users.world.users.shape[1] + 2
    left, bored, latest = (found[taste + place * topics : taste + (place + 1) * topics] for place in range(3))
    assert (left[2], bored[2]) == (0.5, 1)
    assert np.isclose(latest[2], 0.2)
    assert left.sum() == 0.5
    assert bored.sum() == 1
