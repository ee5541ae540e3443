"""Learners whose actor begins with imitation."""

import pytest
import torch
from unit.models.learners_support import CONFIGS, bandit, learner_of, train
from unit.models.same_support import assert_same

from models.learners.imitation import ImitatesFirst
from models.learners.registry import LEARNERS

NAMES = [name for name, entry in LEARNERS.items() if "imitation_steps" in entry.config.model_fields]


@pytest.mark.parametrize("name", NAMES)
def test_the_actor_imitates_before_it_follows_the_critics(name: str) -> None:
    steps = 100
    changes = {"imitation_steps": steps, "imitation_learning_rate": 1e-2, "alpha": 1000.0}
    config = CONFIGS[name].model_copy(update={k: v for k, v in changes.items() if k in CONFIGS[name].model_fields})
    learner = learner_of(config)
    assert isinstance(learner, ImitatesFirst)
    train(learner, steps)
    probe = bandit(500, seed=10_000)
    imitated = learner.act(probe.observation)
    assert imitated.abs().mean() < 0.1  # the mean of the logged actions is 0
    value = learner.losses(probe)["value_policy"]
    train(learner, 100, first=steps)
    assert learner.losses(probe)["value_policy"] > value + 0.05
    assert (learner.act(probe.observation) - imitated).abs().mean() > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_the_actor_is_not_delayed_while_it_imitates(name: str) -> None:
    learner = learner_of(CONFIGS[name].model_copy(update={"imitation_steps": 3, "policy_delay": 100}))
    moved = []
    for seed in range(5):
        before = learner.act(bandit(5).observation)
        learner.update(bandit(16, seed))
        moved.append(not torch.equal(before, learner.act(bandit(5).observation)))
    assert moved == [True, True, True, False, False]


@pytest.mark.parametrize("name", NAMES)
def test_resumes_in_the_middle_of_the_imitation(name: str) -> None:
    config = CONFIGS[name].model_copy(update={"imitation_steps": 6})
    whole, half = learner_of(config), learner_of(config)
    train(whole, 9)
    train(half, 4)
    resumed = learner_of(config, seed=7)
    resumed.load_state_dict(half.state_dict())
    train(resumed, 5, first=4)
    assert_same(whole.state_dict(), resumed.state_dict())


def test_the_default_is_no_imitation() -> None:
    assert NAMES == ["ddpg", "td3", "td3_bc"]
    for name in NAMES:
        learner = learner_of(CONFIGS[name])
        before = learner.act(bandit(5).observation)
        metrics = [learner.update(bandit(16, seed)) for seed in range(2)][-1]
        assert ("imitation_error" in metrics) == (name == "td3_bc")
        assert "imitation_optimiser" not in learner.state_dict()
        assert not torch.equal(before, learner.act(bandit(5).observation))
