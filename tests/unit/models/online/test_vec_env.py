import numpy as np
from unit.models.online.online_support import PROBLEM

from models.environments.episodes import Episodes
from models.online.true_states import true_states
from models.online.vec_env import SimulatedVecEnv


def test_it_steps_the_environment_s_own_episodes() -> None:
    """Observations are the environment's times `scale`, then which items were shown; rewards are in units of the largest, 5."""
    env, rng = SimulatedVecEnv(PROBLEM, 4, 7), np.random.default_rng(7)
    seen = env.reset()
    episodes = Episodes(PROBLEM.users, PROBLEM.view, PROBLEM.some_users(4, rng), rng)
    for item in range(3):
        assert np.array_equal(seen[:, : PROBLEM.view.observation_dim], episodes.observations() * env.scale)
        assert np.array_equal(seen[:, PROBLEM.view.observation_dim :], episodes.states.shown)
        assert env.observation_space.contains(seen[0])
        assert 0.5 < np.square(seen[:, :30]).mean() < 2
        items = np.array([[i for i in range(60) if not shown[i]][item] for shown in episodes.states.shown])
        expected = episodes.step(items)
        if (expected.terminated | expected.truncated).any():
            break
        seen, rewards, done, _ = env.step(items)
        assert np.allclose(rewards, expected.rewards / 5)
        assert not done.any()


def test_a_finished_episode_begins_anew_at_once_and_its_last_observation_is_kept() -> None:
    env = SimulatedVecEnv(PROBLEM, 32, 0)
    env.reset()
    ended = truncated = 0
    for _ in range(25):
        before = env.episodes.states.shown.copy()
        seen, _, done, infos = env.step(before.argmin(1))
        for place in np.flatnonzero(done):
            last = infos[place]["terminal_observation"][PROBLEM.view.observation_dim :]
            now = seen[place, PROBLEM.view.observation_dim :]
            assert (last > now).any()  # items are unseen again
            assert last.sum() > before[place].sum()  # and the last step had shown one more
            ended, truncated = ended + 1, truncated + infos[place]["TimeLimit.truncated"]
        assert all(infos[place] == {} for place in np.flatnonzero(~done))
    assert 0 < truncated < ended  # some reached the horizon, others left


def test_embeddings_as_actions_need_no_marks_of_shown_items() -> None:
    env = SimulatedVecEnv(PROBLEM.acting_by("embedding"), 3, 0)
    assert env.reset().shape == (3, PROBLEM.view.observation_dim)
    env.step(np.stack([env.action_space.sample() for _ in range(3)]))
    assert env.episodes.states.steps.tolist() == [1, 1, 1]


def test_the_true_state_ends_the_observation_where_it_is_known() -> None:
    env = SimulatedVecEnv(PROBLEM, 3, 0, expected=True)
    env.reset()
    for _ in range(4):
        seen, *_ = env.step(env.episodes.states.shown.argmin(1))
    known = true_states(PROBLEM.users, env.episodes.states)
    assert np.array_equal(seen[:, PROBLEM.view.observation_dim + 60 :], known)
    assert env.observation_space.contains(seen[0])
