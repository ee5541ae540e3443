import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from models.environments import register
from models.environments.marquee import ActionKind, MarqueeEnv, MarqueeParams, MarqueeVectorEnv, Problem
from models.environments.mechanics import Mechanics
from models.histories import Histories, flat_observation

SMALL = MarqueeParams(users=40, items=120)


@pytest.mark.filterwarnings("ignore:.*normalized space.*")
@pytest.mark.parametrize("actions", ["embedding", "item"])
def test_gymnasium_accepts_it_by_name(actions: ActionKind) -> None:
    register()
    made = gymnasium.make("Marquee-v0", params=SMALL.model_copy(update={"actions": actions}))
    check_env(made.unwrapped, skip_render_check=True)


def rolled_out(env: MarqueeEnv, seed: int) -> list[tuple[float, float, bool]]:
    observation, _ = env.reset(seed=seed)
    env.action_space.seed(seed)
    found = []
    for _ in range(80):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        found.append((float(observation.sum()), reward, terminated))
        if terminated or truncated:
            break
    return found


def test_an_episode_depends_on_the_seed_alone() -> None:
    one, other = MarqueeEnv(SMALL), MarqueeEnv(SMALL)
    first = rolled_out(one, 5)
    assert rolled_out(other, 5) == rolled_out(one, 5) == first != rolled_out(one, 6)
    assert len(first) > 1


def test_the_observation_is_the_datasets_own() -> None:
    """So that any policy of this project acts in it unchanged; refused items do not enter it."""
    env = MarqueeEnv(SMALL)
    observation, info = env.reset(seed=1)
    embedding = torch.from_numpy(env.problem.view.embedding)
    for _ in range(30):
        histories = Histories(torch.from_numpy(info["items"])[None], torch.from_numpy(info["rewards"])[None])
        assert torch.equal(flat_observation(histories, embedding, 10)[0], torch.from_numpy(observation))
        before = info["items"]
        observation, reward, terminated, _, info = env.step(env.action_space.sample())
        assert reward == (0 if len(info["items"]) == len(before) else info["rewards"][-1])
        if terminated:
            observation, info = env.reset()


def test_an_embedding_recommends_the_nearest_item_not_shown_before() -> None:
    env = MarqueeEnv(SMALL.model_copy(update={"mechanics": Mechanics(acceptance=10, acceptance_slope=0)}))
    _, info = env.reset(seed=0)
    wanted = int(np.flatnonzero(~info["shown"])[0])
    action = env.problem.view.embedding[wanted]
    _, _, _, _, info = env.step(action)
    assert info["items"][-1] == wanted
    _, _, _, _, info = env.step(action)
    assert info["items"][-1] != wanted


def test_the_horizon_truncates_and_leaving_terminates() -> None:
    patient = MarqueeEnv(SMALL.model_copy(update={"mechanics": Mechanics(horizon=7, exit_rate=0)}))
    patient.reset(seed=0)
    ends = [patient.step(patient.action_space.sample())[2:4] for _ in range(7)]
    assert ends == [(False, False)] * 6 + [(False, True)]
    hasty = MarqueeEnv(SMALL.model_copy(update={"mechanics": Mechanics(horizon=7, exit_rate=1, exit_slope=0)}))
    hasty.reset(seed=0)
    assert hasty.step(hasty.action_space.sample())[2:4] == (True, False)


def test_many_episodes_follow_the_same_rules_as_one() -> None:
    """The same mean reward and the same chance to leave, and a finished episode gives 0 and begins anew."""
    many = MarqueeVectorEnv(64, SMALL)
    many.reset(seed=0)
    many.action_space.seed(0)
    rewards, ends, finished = [], [], np.zeros(64, bool)
    for _ in range(60):
        observation, reward, terminated, truncated, _ = many.step(many.action_space.sample())
        assert observation.shape == many.observation_space.shape
        assert (reward[finished] == 0).all()
        assert not (terminated | truncated)[finished].any()
        rewards += reward[~finished].tolist()
        ends += terminated[~finished].tolist()
        finished = terminated | truncated
    single, one_by_one = MarqueeEnv(problem=many.problem), []
    for seed in range(60):
        one_by_one += rolled_out(single, seed)
    assert np.mean(rewards) == pytest.approx(np.mean([reward for _, reward, _ in one_by_one]), abs=0.25)
    assert np.mean(ends) == pytest.approx(np.mean([left for _, _, left in one_by_one]), abs=0.02)


def test_a_chosen_user_is_simulated() -> None:
    env = MarqueeEnv(problem=Problem.drawn(SMALL))
    env.reset(seed=0, options={"user": 17})
    assert env.episodes.states.user.tolist() == [17]
