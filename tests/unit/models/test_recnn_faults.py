"""The reference implementation's faults, a regression test each, over every learner concerned."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.batch import Batch
from models.learners.actor import ActorLearner
from models.learners.actor_critic import ActorCritic, TargetActorCritic
from models.learners.registry import LEARNERS, TRANSITION_LEARNERS, make_learner
from models.networks import Actor, Critics
from models.space import Space

S, D, B = 5, 3, 16
every_learner = pytest.mark.parametrize("name", TRANSITION_LEARNERS)
actor_critics = pytest.mark.parametrize("name", [name for name in TRANSITION_LEARNERS if name != "policy_learning"])
TARGET_ACTORS = ("ddpg", "td3", "td3_bc", "bcq")
NEXT_ACTIONS = ("td_actor_critic", *TARGET_ACTORS, "sac", "cql")
with_bootstrap = pytest.mark.parametrize("name", [*NEXT_ACTIONS, "iql"])
with_next_actions = pytest.mark.parametrize("name", NEXT_ACTIONS)
with_target_actors = pytest.mark.parametrize("name", TARGET_ACTORS)


def batch(seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g)

    return Batch(normal(B, S), normal(B, D).tanh(), normal(B), normal(B, S), (normal(B) > 0).float())


def learner_of(name: str, **changes: Any) -> Any:
    config = LEARNERS[name].config.model_validate({"hidden_dim": 16} | changes)
    return make_learner(config, Space(S, D, 1.0, -4.0, 5.0), "cpu", 0)


@pytest.mark.parametrize("norm", [1e-3, 1e6])
@pytest.mark.parametrize("name", ["reward_actor_critic", "td_actor_critic", "ddpg", "td3"])
def test_clipping_does_not_turn_the_actor_round(name: str, norm: float) -> None:
    """`clip_grad_norm_(params, -1, 1)` made the actor minimise Q."""
    slow = {"actor_learning_rate": 1e-3, "critic_learning_rate": 1e-9, "policy_delay": 1}
    learner: ActorCritic = learner_of(name, optimiser={"max_gradient_norm": norm}, **slow)
    now = batch()
    before = float(learner.losses(now)["value_policy"])
    for _ in range(20):
        learner.update(now)
    assert float(learner.losses(now)["value_policy"]) > before


@every_learner
@pytest.mark.parametrize("norm", [1e-3, 1e6])
def test_clipping_does_not_turn_the_loss_round(name: str, norm: float) -> None:
    slow = {} if name == "policy_learning" else {"critic_learning_rate": 1e-9, "policy_delay": 1}
    slow |= {"vae_learning_rate": 1e-9} if name == "bcq" else {}
    slow |= {"temperature_learning_rate": 1e-9, "initial_temperature": 0.01} if name in ("sac", "cql") else {}
    changes = slow | ({"good_reward": -4.0} if name == "policy_learning" else {})
    learner: ActorLearner = learner_of(name, optimiser={"max_gradient_norm": norm}, actor_learning_rate=1e-3, **changes)
    now = batch()
    before = float(learner.losses(now)["actor_loss"])
    for _ in range(20):
        learner.update(now)
    assert float(learner.losses(now)["actor_loss"]) < before


@with_target_actors
def test_all_targets_move(name: str) -> None:
    """The target actor of TD3 was never updated."""
    learner: TargetActorCritic = learner_of(name, target_rate=0.5, policy_delay=1)
    before = copy.deepcopy((learner.target_policy.state_dict(), learner.target_critics.state_dict()))
    learner.update(batch())
    for old, module, source in zip(
        before, (learner.target_policy, learner.target_critics), (learner.policy, learner.critics), strict=True
    ):
        for part, value in module.state_dict().items():
            assert not torch.equal(value, old[part])
            torch.testing.assert_close(value, 0.5 * old[part] + 0.5 * source.state_dict()[part])


def test_targets_of_ddpg_move_every_step() -> None:
    """They moved with the delayed actor only."""
    learner: TargetActorCritic = learner_of("ddpg", target_rate=0.1, policy_delay=100)
    before = copy.deepcopy(learner.target_critics.state_dict())
    learner.update(batch())
    assert all(not torch.equal(value, before[part]) for part, value in learner.target_critics.state_dict().items())


@with_bootstrap
def test_bootstrapping_stops_at_terminals(name: str) -> None:
    learner = learner_of(name, discount=0.9)
    ended = batch()._replace(terminal=torch.ones(B))
    elsewhere = ended._replace(next_observation=100 * torch.ones(B, S))
    assert torch.equal(learner.losses(ended)["value_target"], learner.losses(elsewhere)["value_target"])
    going_on = ended._replace(terminal=torch.zeros(B))
    assert not torch.equal(learner.losses(ended)["value_target"], learner.losses(going_on)["value_target"])


def test_reward_regression_does_not_look_ahead() -> None:
    learner = learner_of("reward_actor_critic")
    ahead = batch()._replace(next_observation=100 * torch.ones(B, S), terminal=torch.zeros(B))
    assert torch.equal(learner.losses(batch())["critic_loss"], learner.losses(ahead)["critic_loss"])


@with_next_actions
def test_the_next_action_comes_from_the_next_observation(name: str) -> None:
    """The article's pseudo-code takes it from the current one."""
    learner = learner_of(name, discount=0.9)
    seen: list[Tensor] = []
    acting = learner.target_policy if name in TARGET_ACTORS else learner.policy
    first = acting.of_state if name == "bcq" else acting.layers[0]
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    now = batch()
    learner.target(now)
    learner.noisy_target(now)
    assert len(seen) == 2
    assert all(torch.equal(one, now.next_observation) for one in seen)


@with_bootstrap
def test_no_gradient_flows_through_the_target(name: str) -> None:
    """A graph was built through the target actor."""
    learner = learner_of(name, discount=0.9)
    learner.step_critics(batch())
    assert all(parameter.grad is None for parameter in learner.policy.parameters())


@every_learner
def test_nothing_is_random_in_evaluation(name: str) -> None:
    """Dropout stayed on; here there is none, and looking twice gives the same."""
    learner: ActorLearner = learner_of(name)
    now = batch()
    assert torch.equal(learner.act(now.observation), learner.act(now.observation))
    first, second = learner.losses(now), learner.losses(now)
    assert all(torch.equal(first[part], second[part]) for part in first)
    for network in learner.networks().values():
        assert not any(isinstance(layer, nn.Dropout) for layer in network.modules())


@actor_critics
def test_the_actors_step_leaves_the_critics_alone(name: str) -> None:
    """The policy's loss computed gradients of the critics' weights, for nothing."""
    with_actor, without = learner_of(name, policy_delay=1), learner_of(name, policy_delay=2)
    with_actor.update(batch())
    without.update(batch())
    for one, other in zip(with_actor.critics.parameters(), without.critics.parameters(), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one.grad, other.grad)
    assert not torch.equal(with_actor.act(batch().observation), without.act(batch().observation))


def plain_critic(critics: Critics, place: int, observation: Tensor, action: Tensor) -> Tensor:
    """One of the stacked critics, layer by layer."""
    values = torch.cat((observation, action), 1)
    first = torch.cat((critics.weights[0], critics.weights[1]), 1)
    for layer, (weight, bias) in enumerate(zip((first, *critics.weights[2:]), critics.biases, strict=True)):
        values = values @ weight[place] + bias[place]
        if layer < 2:
            values = values.relu()
    return values[:, 0]


def test_stacked_critics_equal_single_ones() -> None:
    critics = Critics(3, S, D, 8)
    now = batch()
    values = critics(now.observation, now.action)
    assert values.shape == (3, B)
    torch.testing.assert_close(critics(now.observation, now.action, count=2), values[:2])
    for place in range(3):
        torch.testing.assert_close(values[place], plain_critic(critics, place, now.observation, now.action))
    assert Actor(S, D, 8, 0.5)(now.observation).shape == (B, D)


@pytest.mark.parametrize("name", ["ddpg", "bcq"])
def test_last_layers_start_within_their_bounds(name: str) -> None:
    learner: ActorCritic = learner_of(name, actor_last_bound=3.0, critic_last_bound=0.01)
    actor, critic = learner.policy.layers[-1].weight.abs().max(), learner.critics.weights[-1].abs().max()
    assert 2 < actor <= 3
    assert 0.005 < critic <= 0.01
