"""Learners whose critics bootstrap: targets of n steps, and a problem of two steps whose optimum is known."""

import copy

import pytest
import torch
from torch import Tensor
from unit.models.learners_support import (
    CONFIGS,
    SEEKING,
    VALUE_BASED,
    bandit,
    learner_of,
)
from unit.models.same_support import assert_same

from models.batch import Batch
from models.errors import LearnerError
from models.learners.actor import ActorLearner
from models.learners.registry import LEARNERS, TRANSITION_LEARNERS, make_learner
from models.space import Space

BOOTSTRAPPING = [name for name in TRANSITION_LEARNERS if "n_step" in LEARNERS[name].config.model_fields]


@pytest.mark.parametrize("name", BOOTSTRAPPING)
def test_the_target_of_n_steps_discounts_by_the_batch(name: str) -> None:
    """The target r + γᵐ (1 - d) v is linear in γᵐ, at 0 the sum of rewards, and at γ that of one step."""
    one, several = learner_of(CONFIGS[name]), learner_of(CONFIGS[name].model_copy(update={"n_step": 3}))
    batch = bandit(16)._replace(terminal=(torch.arange(16) % 3 == 0).float())

    def target(discount: float) -> Tensor:
        learner = learner_of(several.config)
        y: Tensor = learner.target(batch._replace(discount=torch.full((16,), discount)))  # type: ignore[attr-defined]
        return y.detach()

    assert torch.equal(target(0.0), batch.reward)
    torch.testing.assert_close(target(0.99), one.target(batch).detach())  # type: ignore[attr-defined]
    torch.testing.assert_close(2 * (target(0.4) - batch.reward), target(0.8) - batch.reward)
    assert torch.equal(target(0.8)[::3], batch.reward[::3])


@pytest.mark.parametrize("name", BOOTSTRAPPING)
def test_n_steps_are_not_made_of_single_ones(name: str) -> None:
    """A stream yields single steps: summing rewards that are not there must not pass in silence."""
    learner = learner_of(CONFIGS[name].model_copy(update={"n_step": 3}))
    before = copy.deepcopy(learner.state_dict())
    with pytest.raises(LearnerError, match=r"n_step = 3 steps; found single steps\. Make batches with .*n_step is 1"):
        learner.update(bandit(8))
    assert_same(before, learner.state_dict())
    with pytest.raises(LearnerError, match="found single steps"):
        learner.losses(bandit(8))


@pytest.mark.parametrize("name", BOOTSTRAPPING)
def test_sums_of_n_rewards_have_wider_bounds(name: str) -> None:
    learner = learner_of(CONFIGS[name].model_copy(update={"n_step": 2, "discount": 0.5}))
    batch = bandit(8)._replace(discount=torch.full((8,), 0.25))
    for most in (7.5, -6.0):  # 1.5 times the bounds of one reward
        learner.update(batch._replace(reward=torch.full((8,), most)))
        with pytest.raises(LearnerError, match=r"rewards from -6 to 7\.5; found one outside"):
            learner.update(batch._replace(reward=torch.full((8,), 1.01 * most)))


# A problem of two steps whose first reward misleads. The first action a0 costs (a0 + ½)² and becomes the place x; the
# second pays 2x - (a1 - x)². So a1* = x and V(x) = 2x, and a0* = argmax -(a0 + ½)² + γ 2 a0 = γ - ½, while the first
# reward alone asks for -½. With γ = 0.9 an optimal episode is worth γ² - γ = -0.09, and a myopic one -γ = -0.9.
GAMMA, BEST_RETURN, MYOPIC_RETURN = 0.9, -0.09, -0.9
CHAIN = Space(3, 1, 1.0, -6.0, 2.0)


def chain(rows: int, seed: int) -> Batch:
    """Logged transitions of both steps, actions at random; an observation is (first step?, second step?, place)."""
    generator = torch.Generator().manual_seed(seed)
    second = (torch.rand(rows, generator=generator) < 0.5).float()
    place = (torch.rand(rows, generator=generator) * 2 - 1) * second
    action = torch.rand(rows, generator=generator) * 2 - 1
    reward = torch.where(second == 1, 2 * place - (action - place).square(), -(action + 0.5).square())
    after = torch.stack((torch.zeros(rows), torch.ones(rows), action), 1)
    return Batch(torch.stack((1 - second, second, place), 1), action.unsqueeze(1), reward, after, second)


def episode(learner: ActorLearner) -> tuple[float, float]:
    """The policy's first action, and the true return of its episode."""
    first = float(learner.act(torch.tensor([[1.0, 0.0, 0.0]])))
    second = float(learner.act(torch.tensor([[0.0, 1.0, first]])))
    return first, -((first + 0.5) ** 2) + GAMMA * (2 * first - (second - first) ** 2)


def learnt_on_the_chain(name: str) -> ActorLearner:
    changes = {} if name == "reward_actor_critic" else {"discount": GAMMA}
    learner = make_learner(SEEKING[name].model_copy(update=changes), CHAIN, "cpu", 0)
    for step in range(900):
        learner.update(chain(64, seed=step))
    return learner


@pytest.mark.parametrize("name", VALUE_BASED)
def test_temporal_difference_finds_the_known_optimum_of_two_steps(name: str) -> None:
    first, value = episode(learnt_on_the_chain(name))
    assert abs(first - (GAMMA - 0.5)) < 0.15
    assert value > BEST_RETURN - 0.05


def test_reward_regression_takes_the_bait() -> None:
    first, value = episode(learnt_on_the_chain("reward_actor_critic"))
    assert abs(first + 0.5) < 0.15
    assert value < MYOPIC_RETURN + 0.3 < BEST_RETURN - 0.4
