"""The reference implementation's faults, one regression test each."""

import copy

import pytest
import torch
from torch import Tensor, nn

from models.batch import Batch
from models.learners.ddpg import DDPG, DDPGConfig
from models.learners.td3 import TD3, TD3Config
from models.networks import Actor, Critics

S, D, B = 5, 3, 16
CPU = torch.device("cpu")


def batch(seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g)

    return Batch(normal(B, S), normal(B, D).tanh(), normal(B), normal(B, S), (normal(B) > 0).float())


def ddpg(**changes: float | None) -> DDPG:
    torch.manual_seed(0)
    return DDPG(DDPGConfig.model_validate({"hidden_dim": 16, "imitation": None} | changes), S, D, 1.0, CPU, 0)


def td3(**changes: float | None) -> TD3:
    torch.manual_seed(0)
    return TD3(TD3Config.model_validate({"hidden_dim": 16, "imitation": None} | changes), S, D, 1.0, CPU, 0)


@pytest.mark.parametrize("norm", [1e-3, 1e6])
def test_clipping_does_not_turn_the_actor_round(norm: float) -> None:
    """`clip_grad_norm_(params, -1, 1)` made the actor minimise Q."""
    learner = ddpg(max_gradient_norm=norm, actor_learning_rate=1e-3, critic_learning_rate=1e-9)
    now = batch()
    before = float(learner.losses(now)["value_policy"])
    for _ in range(20):
        learner.update(now)
    assert float(learner.losses(now)["value_policy"]) > before


def test_all_targets_of_td3_move_with_the_actor_step() -> None:
    """The target actor was never updated."""
    learner = td3(target_rate=0.5, policy_delay=1)
    before = copy.deepcopy((learner.target_actor.state_dict(), learner.target_critics.state_dict()))
    learner.update(batch())
    for old, module, source in zip(
        before, (learner.target_actor, learner.target_critics), (learner.actor, learner.critics), strict=True
    ):
        for name, value in module.state_dict().items():
            assert not torch.equal(value, old[name])
            torch.testing.assert_close(value, 0.5 * old[name] + 0.5 * source.state_dict()[name])


def test_targets_of_ddpg_move_every_step() -> None:
    learner = ddpg(target_rate=0.1)
    before = copy.deepcopy(learner.target_actor.state_dict())
    learner.update(batch())
    assert all(not torch.equal(value, before[name]) for name, value in learner.target_actor.state_dict().items())


@pytest.mark.parametrize("make", [ddpg, td3])
def test_bootstrapping_stops_at_terminals(make: object) -> None:
    learner = make(discount=0.9)  # type: ignore[operator]
    ended = batch()._replace(terminal=torch.ones(B))
    elsewhere = ended._replace(next_observation=100 * torch.ones(B, S))
    assert torch.equal(learner.losses(ended)["critic_loss"], learner.losses(elsewhere)["critic_loss"])
    going_on = ended._replace(terminal=torch.zeros(B))
    assert not torch.equal(learner.losses(ended)["critic_loss"], learner.losses(going_on)["critic_loss"])


def test_the_next_action_comes_from_the_next_observation() -> None:
    """The article's pseudo-code takes it from the current one."""
    learner = ddpg(discount=0.9)
    seen: list[Tensor] = []
    learner.target_actor.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    now = batch()
    learner.critic_loss(now)
    assert torch.equal(seen[0], now.next_observation)


def test_nothing_is_random_in_evaluation() -> None:
    """Dropout stayed on; here there is none, and looking twice gives the same."""
    for learner in (ddpg(), td3()):
        now = batch()
        assert torch.equal(learner.act(now.observation), learner.act(now.observation))
        first, second = learner.losses(now), learner.losses(now)
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert not any(isinstance(module, nn.Dropout) for module in learner.actor.modules())


def plain_critic(critics: Critics, place: int, observation: Tensor, action: Tensor) -> Tensor:
    """One of the stacked critics, layer by layer."""
    values = torch.cat((observation, action), 1)
    for layer, (weight, bias) in enumerate(zip(critics.weights, critics.biases, strict=True)):
        values = values @ weight[place] + bias[place]
        if layer < 2:
            values = values.relu()
    return values[:, 0]


def test_td3_step_equals_a_plain_one_in_float64() -> None:
    """The whole first update, against the equations written out without stacking, fusing or foreach."""
    learner = td3(policy_delay=1, imitation=2.5, max_gradient_norm=1e9, target_rate=0.3)
    for module in (learner.actor, learner.critics, learner.target_actor, learner.target_critics):
        module.double()
    actor, critics = copy.deepcopy(learner.actor), copy.deepcopy(learner.critics)
    now = Batch(*(part.double() for part in batch()))
    config = learner.config
    noise = torch.randn((B, D), generator=torch.Generator().manual_seed(0))
    learner.update(now)

    smoothed = (actor(now.next_observation) + (noise * config.target_noise).clamp(-0.5, 0.5)).clamp(-1, 1)
    q_next = torch.minimum(*(plain_critic(critics, n, now.next_observation, smoothed) for n in (0, 1)))
    y = (now.reward + config.discount * (1 - now.terminal) * q_next).detach()
    critic_optimiser = torch.optim.Adam(critics.parameters(), config.critic_learning_rate)
    sum((plain_critic(critics, n, now.observation, now.action) - y).square().mean() for n in (0, 1)).backward()  # type: ignore[union-attr]
    critic_optimiser.step()
    actor_optimiser = torch.optim.Adam(actor.parameters(), config.actor_learning_rate)
    pi = actor(now.observation)
    q = plain_critic(critics, 0, now.observation, pi)
    (-2.5 / q.abs().mean().detach() * q.mean() + (pi - now.action).square().mean()).backward()
    actor_optimiser.step()
    for ours, plain in ((learner.actor, actor), (learner.critics, critics)):
        for name, value in ours.state_dict().items():
            torch.testing.assert_close(value, plain.state_dict()[name], rtol=1e-5, atol=1e-7)


def test_stacked_critics_equal_single_ones() -> None:
    critics = Critics(3, S, D, 8)
    now = batch()
    values = critics(now.observation, now.action)
    assert values.shape == (3, B)
    for place in range(3):
        torch.testing.assert_close(values[place], plain_critic(critics, place, now.observation, now.action))
    assert Actor(S, D, 8, 0.5)(now.observation).shape == (B, D)
