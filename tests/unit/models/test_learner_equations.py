"""Targets, losses and gradients of the actor-critics against NumPy in float64, which knows nothing of autograd.

A learner's first update is taken with plain gradient descent, so that the weights' change is the gradient; the gradient
expected is a central difference of the loss written out here.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.batch import Batch
from models.learners.actor_critic import ActorCritic, TargetActorCritic
from models.learners.ddpg import DDPGConfig
from models.learners.registry import LEARNERS
from models.learners.reward_actor_critic import RewardActorCriticConfig
from models.learners.td3 import TD3, TD3Config
from models.learners.td3_bc import TD3BC, TD3BCConfig
from models.learners.td_actor_critic import TDActorCriticConfig
from models.optimisers import OptimiserConfig
from models.space import Space

Array = NDArray[np.float64]
S, D, B, H, LIMIT, RATE = 4, 2, 12, 6, 0.8, 1e-3
DESCENT = OptimiserConfig(name="sgd", momentum=0, max_gradient_norm=1e9)
COMMON = {"hidden_dim": H, "optimiser": DESCENT, "actor_learning_rate": RATE, "critic_learning_rate": RATE}
TD = COMMON | {"discount": 0.9, "target_bounds": None, "policy_delay": 1}
CONFIGS = [
    RewardActorCriticConfig(**COMMON),
    TDActorCriticConfig(**TD),
    DDPGConfig(**TD, target_rate=0.3),
    DDPGConfig(**TD | {"target_bounds": (-1.0, 0.5)}, target_rate=0.3),
    TD3Config(**TD, target_rate=0.3),
    TD3Config(**TD, target_rate=0.3, target_noise=2.0, noise_clip=0.9),  # both clips of eq. 14 bind
    TD3BCConfig(**TD, target_rate=0.3, alpha=1.7),
]
IDS = ["reward_actor_critic", "td_actor_critic", "ddpg", "ddpg-clipped", "td3", "td3-clipped", "td3_bc"]


def actor(weights: list[Array], s: Array) -> Array:
    """π(s), (B, D), of torch's linear layers' (out, in) matrices."""
    h = np.maximum(s @ weights[0].T + weights[1], 0)
    h = np.maximum(h @ weights[2].T + weights[3], 0)
    return LIMIT * np.tanh(h @ weights[4].T + weights[5])


def critic(weights: list[Array], n: int, s: Array, a: Array) -> Array:
    """Q_n(s, a), (B,), of four stacks of (in, out) matrices, the first layer's in two parts, then of biases."""
    first = np.concatenate((weights[0], weights[1]), 1)
    h = np.maximum(np.concatenate((s, a), 1) @ first[n] + weights[4][n], 0)
    h = np.maximum(h @ weights[2][n] + weights[5][n], 0)
    return (h @ weights[3][n] + weights[6][n])[:, 0]


def weights_of(module: torch.nn.Module) -> list[Array]:
    return [parameter.detach().numpy().copy() for parameter in module.parameters()]


def difference(loss: Callable[[list[Array]], float], weights: list[Array]) -> list[Array]:
    """The gradient of `loss`, by central differences."""
    gradient = [np.empty_like(part) for part in weights]
    for part, slopes in zip(weights, gradient, strict=True):
        for place in np.ndindex(part.shape):
            kept, step = part[place], 1e-6
            part[place] = kept + step
            above = loss(weights)
            part[place] = kept - step
            slopes[place] = (above - loss(weights)) / (2 * step)
            part[place] = kept
    return gradient


def batch() -> Batch:
    g = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=g, dtype=torch.float64)

    return Batch(normal(B, S), LIMIT * normal(B, D).tanh(), normal(B), normal(B, S), (normal(B) > 0).double())


def expected_target(learner: ActorCritic, now: list[Array]) -> Array:
    """What the critics should regress, by the papers' equations."""
    _, _, r, s_next, d = now
    config = learner.config
    if isinstance(config, RewardActorCriticConfig):
        return r
    with_targets = isinstance(learner, TargetActorCritic)
    pi = weights_of(learner.target_policy if isinstance(learner, TargetActorCritic) else learner.policy)
    q = weights_of(learner.target_critics if isinstance(learner, TargetActorCritic) else learner.critics)
    a_next = actor(pi, s_next)
    if isinstance(config, TD3Config):
        noise = torch.randn((B, D), generator=torch.Generator().manual_seed(0)).numpy().astype(np.float64)
        noise = np.clip(noise * config.target_noise, -config.noise_clip, config.noise_clip) * LIMIT
        a_next = np.clip(a_next + noise, -LIMIT, LIMIT)
    assert with_targets == (config.name in ("ddpg", "td3", "td3_bc"))
    y = r + 0.9 * (1 - d) * np.minimum(
        critic(q, 0, s_next, a_next), critic(q, learner.critic_count - 1, s_next, a_next)
    )
    return np.clip(y, -1.0, 0.5) if config.target_bounds is not None else y  # type: ignore[attr-defined]


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_a_whole_update_equals_numpy_in_float64(config: TDActorCriticConfig) -> None:
    torch.manual_seed(1)
    learner = LEARNERS[config.name].learner(config, Space(S, D, LIMIT, -4.0, 5.0), torch.device("cpu"), 0)
    assert isinstance(learner, ActorCritic)
    for part in learner.parts().values():
        if isinstance(part, torch.nn.Module):
            part.double()
    if isinstance(learner, TargetActorCritic):  # as after some learning, when they differ from what they follow
        for parameter in (*learner.target_policy.parameters(), *learner.target_critics.parameters()):
            parameter.add_(0.1 * torch.randn(parameter.shape, dtype=torch.float64))
    logged = batch()
    now = [part.numpy() for part in logged]
    s, a = now[:2]
    policy, critics = weights_of(learner.policy), weights_of(learner.critics)
    y = expected_target(learner, now)
    targets = (
        [weights_of(learner.target_policy), weights_of(learner.target_critics)]
        if "target_policy" in learner.parts()
        else []
    )

    metrics = learner.update(logged)

    def critic_loss(weights: list[Array]) -> float:
        return float(sum(np.mean((critic(weights, n, s, a) - y) ** 2) for n in range(learner.critic_count)))

    moved = weights_of(learner.critics)
    assert np.isclose(critic_loss(critics), float(metrics["critic_loss"]), rtol=1e-10)
    assert np.isclose(y.mean(), float(metrics["value_target"]), rtol=1e-10)
    for before, after, slope in zip(critics, moved, difference(critic_loss, critics), strict=True):
        np.testing.assert_allclose((before - after) / RATE, slope, rtol=1e-5, atol=1e-7)

    scale = 1.7 / np.abs(critic(moved, 0, s, actor(policy, s))).mean() if isinstance(learner, TD3BC) else 1.0

    def actor_loss(weights: list[Array]) -> float:
        pi = actor(weights, s)
        imitation = np.mean((pi - a) ** 2) if isinstance(learner, TD3BC) else 0.0
        return float(-scale * critic(moved, 0, s, pi).mean() + imitation)

    assert np.isclose(actor_loss(policy), float(metrics["actor_loss"]), rtol=1e-10)
    for before, after, slope in zip(policy, weights_of(learner.policy), difference(actor_loss, policy), strict=True):
        np.testing.assert_allclose((before - after) / RATE, slope, rtol=1e-5, atol=1e-7)
    if isinstance(learner, TargetActorCritic):
        for old, module, source in zip(
            targets, (learner.target_policy, learner.target_critics), (learner.policy, learner.critics), strict=True
        ):
            for was, is_now, followed in zip(old, weights_of(module), weights_of(source), strict=True):
                np.testing.assert_allclose(is_now, 0.7 * was + 0.3 * followed, rtol=1e-12)


def test_td3_clips_the_noise_and_the_target_action(monkeypatch: pytest.MonkeyPatch) -> None:
    """ã = clip(π'(s') + clip(ε, -c, c), -max, max), eq. 14: each clip alone is seen to bind."""
    learner = TD3(
        TD3Config(**TD, target_noise=2.0, noise_clip=0.5), Space(S, D, LIMIT, -4.0, 5.0), torch.device("cpu"), 0
    )
    backed_up: list[torch.Tensor] = []

    def backup(logged: Batch, next_action: torch.Tensor) -> torch.Tensor:
        backed_up.append(next_action)
        return logged.reward

    monkeypatch.setattr(learner, "backup", backup)
    logged = Batch(*(part.float() for part in batch()))
    with torch.no_grad():
        learner.noisy_target(logged)
        monkeypatch.setattr(learner, "target_policy", lambda s: torch.full((len(s), D), 0.9 * LIMIT))
        learner.noisy_target(logged)
        pi = learner.policy(logged.next_observation)  # as the target policy before the first step
    free, near_the_bound = backed_up
    bound = 0.5 * LIMIT
    assert (free - pi).abs().max() <= bound + 1e-6
    assert ((free - pi).abs() > bound - 1e-6).sum() > len(free) / 2  # σ is four times the bound
    assert near_the_bound.abs().max() <= LIMIT
    assert (near_the_bound == LIMIT).any()


def test_td3s_rhythm() -> None:
    """Actor and targets stand still between the delayed steps."""
    learner = TD3(TD3Config(**TD | {"policy_delay": 3}), Space(S, D, LIMIT, -4.0, 5.0), torch.device("cpu"), 0)
    floats = Batch(*(part.float() for part in batch()))
    moved = []
    for _ in range(6):
        before = [weights_of(module) for module in (learner.policy, learner.target_policy, learner.target_critics)]
        learner.update(floats)
        after = [weights_of(module) for module in (learner.policy, learner.target_policy, learner.target_critics)]
        moved.append(
            [any((x != y).any() for x, y in zip(*pair, strict=True)) for pair in zip(before, after, strict=True)]
        )
    assert moved == [[False] * 3, [False] * 3, [True] * 3] * 2
