"""IQL's losses, target and first gradients against NumPy in float64."""

import numpy as np
import pytest
import torch
from unit.models.equations_support import (
    TD,
    Array,
    actor,
    batch,
    critic,
    layers,
    learner_of,
    need_descent,
    need_followed,
    weights_of,
)

from models.learners.iql import IQL, IQLConfig


def value(weights: list[Array], s: Array) -> Array:
    """V(s), (B,)."""
    return layers(weights, s)[:, 0]


@pytest.mark.parametrize("max_weight", [1e6, 1.1])
def test_a_whole_update_equals_numpy_in_float64(max_weight: float) -> None:
    """V first, by the target critics; then Q, by the new V; then the actor, by the target critics and the new V."""
    expectile, beta = 0.8, 1.5
    config = IQLConfig(**TD, target_rate=0.3, expectile=expectile, temperature=beta, max_weight=max_weight)
    learner = learner_of(config)
    assert isinstance(learner, IQL)
    with torch.no_grad():
        learner.value.layers[-1].bias.sub_(0.4)  # advantages of both signs
    logged = batch()
    s, a, r, s_next, d = [part.numpy() for part in logged[:5]]
    policy, critics, v = (weights_of(part) for part in (learner.policy, learner.critics, learner.value))
    slow = weights_of(learner.target_critics)
    q_slow = np.minimum(critic(slow, 0, s, a), critic(slow, 1, s, a))

    metrics = learner.update(logged)

    def value_loss(weights: list[Array]) -> float:
        u = q_slow - value(weights, s)
        return float(np.mean(np.where(u > 0, expectile, 1 - expectile) * u**2))

    assert set(np.sign(q_slow - value(v, s))) == {-1, 1}
    assert np.isclose(value_loss(v), float(metrics["value_loss"]), rtol=1e-10)
    need_descent(v, learner.value, value_loss)
    v = weights_of(learner.value)
    y = r + 0.9 * (1 - d) * value(v, s_next)

    def critic_loss(weights: list[Array]) -> float:
        return float(sum(np.mean((critic(weights, n, s, a) - y) ** 2) for n in range(2)))

    assert np.isclose(critic_loss(critics), float(metrics["critic_loss"]), rtol=1e-10)
    need_descent(critics, learner.critics, critic_loss)
    weight = np.minimum(np.exp(beta * (q_slow - value(v, s))), max_weight)
    assert (weight == max_weight).any() == (max_weight < 2)

    def actor_loss(weights: list[Array]) -> float:
        return float(np.mean(weight * np.mean((actor(weights, s) - a) ** 2, 1)))

    assert np.isclose(actor_loss(policy), float(metrics["actor_loss"]), rtol=1e-10)
    assert np.isclose((weight == max_weight).mean(), float(metrics["weights_clipped"]))
    need_descent(policy, learner.policy, actor_loss)
    need_followed(slow, learner.target_critics, learner.critics, 0.3)


def test_an_expectile_of_one_half_is_the_mean_and_beta_0_is_imitation() -> None:
    config = IQLConfig(**TD, expectile=0.5, temperature=0)
    learner = learner_of(config)
    assert isinstance(learner, IQL)
    now = batch()
    with torch.no_grad():
        half_square = learner.value_loss(now)[0]
        imitation, metrics = learner.actor_loss(now)
        advantage = learner.advantage(now)
    assert torch.isclose(half_square, advantage.square().mean() / 2)
    assert torch.isclose(imitation, metrics["imitation_error"])
