"""Targets, losses and gradients of the deterministic actor-critics against NumPy in float64, which knows nothing of autograd.

A learner's first update is taken with plain gradient descent, so that the weights' change is the gradient; the gradient
expected is a central difference of the loss written out here.
"""

import numpy as np
import pytest
import torch
from unit.models.equations_support import (
    COMMON,
    LIMIT,
    RATE,
    TD,
    Array,
    B,
    D,
    S,
    actor,
    batch,
    critic,
    learner_of,
    need_descent,
    need_followed,
    weights_of,
)

from models.batch import Batch
from models.learners.actor_critic import ActorCritic, TargetActorCritic
from models.learners.ddpg import DDPGConfig
from models.learners.reward_actor_critic import RewardActorCriticConfig
from models.learners.td3 import TD3, TD3Config
from models.learners.td3_bc import TD3BC, TD3BCConfig
from models.learners.td_actor_critic import TDActorCriticConfig
from models.space import Space

CONFIGS = [
    RewardActorCriticConfig(**COMMON),
    TDActorCriticConfig(**TD),
    DDPGConfig(**TD, target_rate=0.3),
    DDPGConfig(**TD | {"target_bounds": (-1.0, 0.5)}, target_rate=0.3),
    TD3Config(**TD, target_rate=0.3),
    TD3Config(**TD, target_rate=0.3, target_noise=2.0, noise_clip=0.9),  # both clips of eq. 14 bind
    TD3BCConfig(**TD, target_rate=0.3, alpha=1.7),
    TD3Config(**TD | {"actor_learning_rate": 0.1}, target_rate=0.3, imitation_steps=1, imitation_learning_rate=RATE),
]
IDS = ["reward_actor_critic", "td_actor_critic", "ddpg", "ddpg-clipped", "td3", "td3-clipped", "td3_bc", "td3-imitates"]


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
    learner = learner_of(config)
    logged = batch()
    now = [part.numpy() for part in logged[:5]]
    s, a = now[:2]
    policy, critics = weights_of(learner.policy), weights_of(learner.critics)
    y = expected_target(learner, now)
    targets = (
        [weights_of(learner.target_policy), weights_of(learner.target_critics)]
        if "target_policy" in learner.networks()
        else []
    )

    metrics = learner.update(logged)

    def critic_loss(weights: list[Array]) -> float:
        return float(sum(np.mean((critic(weights, n, s, a) - y) ** 2) for n in range(learner.critic_count)))

    assert np.isclose(critic_loss(critics), float(metrics["critic_loss"]), rtol=1e-10)
    assert np.isclose(y.mean(), float(metrics["value_target"]), rtol=1e-10)
    need_descent(critics, learner.critics, critic_loss)

    moved = weights_of(learner.critics)
    scale = 1.7 / np.abs(critic(moved, 0, s, actor(policy, s))).mean() if isinstance(learner, TD3BC) else 1.0

    def actor_loss(weights: list[Array]) -> float:
        pi = actor(weights, s)
        if getattr(config, "imitation_steps", 0):
            return float(np.mean((pi - a) ** 2))
        imitation = np.mean((pi - a) ** 2) if isinstance(learner, TD3BC) else 0.0
        return float(-scale * critic(moved, 0, s, pi).mean() + imitation)

    assert np.isclose(actor_loss(policy), float(metrics["actor_loss"]), rtol=1e-10)
    need_descent(policy, learner.policy, actor_loss)
    if isinstance(learner, TargetActorCritic):
        need_followed(targets[0], learner.target_policy, learner.policy, 0.3)
        need_followed(targets[1], learner.target_critics, learner.critics, 0.3)


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
    logged = Batch(*(part.float() for part in batch()[:5]))
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
    floats = Batch(*(part.float() for part in batch()[:5]))
    moved = []
    for _ in range(6):
        before = [weights_of(module) for module in (learner.policy, learner.target_policy, learner.target_critics)]
        learner.update(floats)
        after = [weights_of(module) for module in (learner.policy, learner.target_policy, learner.target_critics)]
        moved.append(
            [any((x != y).any() for x, y in zip(*pair, strict=True)) for pair in zip(before, after, strict=True)]
        )
    assert moved == [[False] * 3, [False] * 3, [True] * 3] * 2
