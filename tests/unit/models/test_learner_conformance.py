"""One suite over every learner."""

import io
from typing import Any

import pytest
import torch

from models.batch import Batch
from models.errors import LearnerError
from models.learners import Learner, LearnerConfig, make_learner
from models.learners.ddpg import DDPGConfig
from models.learners.td3 import TD3Config

FAST = {"hidden_dim": 32, "actor_learning_rate": 3e-3, "critic_learning_rate": 3e-3, "target_rate": 0.02}
CONFIGS: list[LearnerConfig] = [
    DDPGConfig(**FAST, imitation=None),
    TD3Config(**FAST, imitation=None),
    DDPGConfig(**FAST),
    TD3Config(**FAST),
]
IDS = ["ddpg", "td3", "ddpg-imitation", "td3-imitation"]
S, D = 3, 2
BEST = torch.tensor([0.5, -0.3])


def learner_of(config: LearnerConfig, seed: int = 0) -> Learner:
    return make_learner(config, S, D, 1.0, "cpu", seed)


def bandit(rows: int, seed: int = 0) -> Batch:
    """One-step episodes, reward 1 - |a - BEST|², the best action the same everywhere."""
    generator = torch.Generator().manual_seed(seed)
    observation = torch.randn((rows, S), generator=generator)
    action = torch.rand((rows, D), generator=generator) * 2 - 1
    reward = 1 - (action - BEST).square().sum(1)
    return Batch(observation, action, reward, torch.randn((rows, S), generator=generator), torch.ones(rows))


def train(learner: Learner, steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        learner.update(bandit(64, seed=step))


@pytest.mark.parametrize("config", CONFIGS[:2], ids=IDS[:2])
def test_finds_the_known_optimum_of_a_toy_problem(config: LearnerConfig) -> None:
    learner = learner_of(config)
    train(learner, 600)
    action = learner.act(torch.randn((200, S), generator=torch.Generator().manual_seed(9)))
    assert (action - BEST).square().sum(1).mean() < 0.05


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_improves_on_the_logged_actions(config: LearnerConfig) -> None:
    learner = learner_of(config)
    train(learner, 400)
    metrics = learner.losses(bandit(500, seed=10_000))
    assert metrics["value_policy"] > metrics["value_logged"] + 0.2


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_saves_loads_and_resumes_to_the_same_bits(config: LearnerConfig) -> None:
    whole, half = learner_of(config), learner_of(config)
    train(whole, 11)
    train(half, 5)
    buffer = io.BytesIO()
    torch.save(half.state_dict(), buffer)
    buffer.seek(0)
    resumed = learner_of(config, seed=99)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    train(resumed, 6, first=5)
    assert_same(whole.state_dict(), resumed.state_dict())


def assert_same(a: Any, b: Any) -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        for left, right in zip(a, b, strict=True):
            assert_same(left, right)
    else:
        assert a == b


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_equal_seeds_learn_alike_and_others_not(config: LearnerConfig) -> None:
    first, second, other = learner_of(config, 1), learner_of(config, 1), learner_of(config, 2)
    for learner in (first, second, other):
        train(learner, 4)
    probe = bandit(5).observation
    assert torch.equal(first.act(probe), second.act(probe))
    assert not torch.equal(first.act(probe), other.act(probe))


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
@pytest.mark.parametrize("reward", [-4.0, 5.0])
def test_survives_rewards_at_the_bounds(config: LearnerConfig, reward: float) -> None:
    learner = learner_of(config)
    for step in range(100):
        batch = bandit(32, seed=step)
        metrics = learner.update(batch._replace(reward=torch.full((32,), reward), terminal=torch.zeros(32)))
    assert all(torch.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
@pytest.mark.parametrize("member", Batch._fields)
def test_rejects_nan_before_it_reaches_the_weights(config: LearnerConfig, member: str) -> None:
    learner = learner_of(config)
    before = learner.act(bandit(5).observation)
    batch = bandit(8)
    spoilt = getattr(batch, member).clone()
    spoilt.view(-1)[3] = torch.nan
    with pytest.raises(LearnerError, match=member):
        learner.update(batch._replace(**{member: spoilt}))
    assert torch.equal(before, learner.act(bandit(5).observation))


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_validation_losses_teach_nothing(config: LearnerConfig) -> None:
    learner = learner_of(config)
    train(learner, 3)
    before = learner.act(bandit(5).observation)
    learner.losses(bandit(64))
    assert torch.equal(before, learner.act(bandit(5).observation))


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_actions_stay_within_the_bounds(config: LearnerConfig) -> None:
    learner = make_learner(config, S, D, 0.25, "cpu", 0)
    train(learner, 50)
    assert learner.act(100 * bandit(50).observation).abs().max() <= 0.25
