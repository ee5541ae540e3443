"""SAC's and CQL's losses, targets and first gradients against NumPy in float64."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm
from unit.models.equations_support import (
    LIMIT,
    RATE,
    TD,
    Array,
    B,
    D,
    batch,
    critic,
    layers,
    learner_of,
    need_descent,
    need_followed,
    weights_of,
)

from models.learners.cql import CQL, CQLConfig
from models.learners.sac import SAC, SACConfig
from models.networks import Actor
from models.squashed_gaussian import SquashedGaussian

SOFT: dict[str, Any] = TD | {"target_rate": 0.3, "initial_temperature": 0.7, "temperature_learning_rate": RATE}
N = 3


def drawn(generator: torch.Generator, *shape: int) -> Array:
    return torch.randn(shape, generator=generator, dtype=torch.float64).numpy()


def gaussian(weights: list[Array], s: Array) -> tuple[Array, Array]:
    """μ(s) and σ(s), (B, D), of the actor's weights and then those of the layer of log σ."""
    mean = layers(weights[:6], s)
    h = np.maximum(s @ weights[0].T + weights[1], 0)
    h = np.maximum(h @ weights[2].T + weights[3], 0)
    return mean, np.exp(h @ weights[6].T + weights[7])


def action_and_density(mean: Array, std: Array, noise: Array) -> tuple[Array, Array]:
    """A and log π(a / max_action): the density of u by scipy, divided by the slope of tanh at u."""
    u = mean + std * noise
    return LIMIT * np.tanh(u), (norm.logpdf(u, mean, std) - np.log(1 - np.tanh(u) ** 2)).sum(-1)


def smaller(weights: list[Array], s: Array, a: Array) -> Array:
    return np.minimum(critic(weights, 0, s, a), critic(weights, 1, s, a))


@pytest.mark.parametrize("config", [SACConfig(**SOFT), CQLConfig(**SOFT, sampled_actions=N)], ids=["sac", "cql"])
def test_a_whole_update_equals_numpy_in_float64(config: SACConfig | CQLConfig) -> None:
    learner = learner_of(config)
    assert isinstance(learner, SAC)
    logged = batch()
    s, a, r, s_next, d = [part.numpy() for part in logged[:5]]
    policy, critics, slow = (weights_of(part) for part in (learner.gaussian, learner.critics, learner.target_critics))
    log_alpha = learner.temperature.log_alpha.item()
    alpha = math.exp(log_alpha)  # 0.7, rounded to float32
    generator = torch.Generator().manual_seed(0)
    if isinstance(learner, CQL):
        y = r + 0.9 * (1 - d) * smaller(slow, s_next, LIMIT * np.tanh(layers(policy[:6], s_next)))
        others = []
        for state in (s, s_next):
            mean, std = gaussian(policy, state)
            others.append(action_and_density(mean[:, None], std[:, None], drawn(generator, B, N, D)))
        uniform = 2 * torch.rand((B, N, D), generator=generator, dtype=torch.float64).numpy() - 1
        others.append((LIMIT * uniform, np.full((B, N), math.log(0.5**D))))
        a_other, density = (np.concatenate(part, 1) for part in zip(*others, strict=True))
    else:
        a_next, log_next = action_and_density(*gaussian(policy, s_next), drawn(generator, B, D))
        y = r + 0.9 * (1 - d) * (smaller(slow, s_next, a_next) - alpha * log_next)

    metrics = learner.update(logged)

    def critic_loss(weights: list[Array]) -> float:
        loss = 0.0
        for n in range(2):
            q = critic(weights, n, s, a)
            loss += np.mean((q - y) ** 2)
            if isinstance(config, CQLConfig):
                q_other = np.stack([critic(weights, n, s, a_other[:, k]) for k in range(3 * N)], 1)
                loss += config.conservative_weight * np.mean(np.log(np.exp(q_other - density).mean(1)) - q)
        return float(loss)

    assert np.isclose(y.mean(), float(metrics["value_target"]), rtol=1e-10)
    assert np.isclose(critic_loss(critics), float(metrics["critic_loss"]), rtol=1e-10)
    need_descent(critics, learner.critics, critic_loss)
    noise, moved = drawn(generator, B, D), weights_of(learner.critics)

    def actor_loss(weights: list[Array]) -> float:
        pi, log_density = action_and_density(*gaussian(weights, s), noise)
        return float(np.mean(alpha * log_density - smaller(moved, s, pi)))

    assert np.isclose(actor_loss(policy), float(metrics["actor_loss"]), rtol=1e-10)
    need_descent(policy, learner.gaussian, actor_loss)
    log_density = action_and_density(*gaussian(policy, s), noise)[1]
    loss = -alpha * (log_density.mean() - D)  # also its slope by log α
    assert np.isclose(loss, float(metrics["temperature_loss"]), rtol=1e-10)
    assert np.isclose((log_alpha - learner.temperature.log_alpha.item()) / RATE, loss, rtol=1e-10)
    need_followed(slow, learner.target_critics, learner.critics, 0.3)


def test_the_density_integrates_to_one_and_is_that_of_the_actions() -> None:
    torch.manual_seed(0)
    made = SquashedGaussian(Actor(2, 1, 4, LIMIT)).double()
    mean, std = torch.tensor([[0.4]]).double(), torch.tensor([[0.6]]).double()
    u = torch.linspace(-8, 8, 20_001, dtype=torch.float64).unsqueeze(1)
    actions, log_density = made.squashed(mean, std, (u - mean) / std)
    assert torch.isclose(torch.trapezoid(log_density.exp(), actions[:, 0] / LIMIT), torch.ones(()).double())
    far = made.squashed(mean, std, torch.full((1, 1), 200.0).double())[1]  # tanh rounds to 1 there
    assert bool(far.isfinite().all())


def test_the_policy_acts_by_the_mean_and_is_stored_as_any_other() -> None:
    learner = learner_of(SACConfig(**SOFT))
    assert isinstance(learner, SAC)
    s = batch().observation
    mean, _ = learner.gaussian(s)
    assert torch.equal(learner.act(s), LIMIT * torch.tanh(mean))
    stored = learner.recommender(torch.eye(D).double(), "cosine").tensors()
    actor = {f"actor.layers.{layer}.{kind}" for layer in (0, 2, 4) for kind in ("weight", "bias")}
    assert {name for name in stored if not name.startswith("critics.")} == actor


def test_alpha_grows_while_the_entropy_is_below_its_target() -> None:
    learner = learner_of(SACConfig(**SOFT))
    assert isinstance(learner, SAC)
    for log_density, sign in ((D + 1.0, 1), (D - 1.0, -1)):  # the target is -D
        (slope,) = torch.autograd.grad(
            learner.temperature_loss(torch.tensor(log_density))[0], [learner.temperature.log_alpha]
        )
        assert torch.sign(-slope) == sign


def test_cql_values_actions_that_nobody_logged_lower() -> None:
    """Beside SAC on the same batches: the gap between the integral of exp Q and the logged actions' values."""
    gaps = {}
    for weight in (0.0, 5.0):
        learner = learner_of(CQLConfig(**SOFT | {"critic_learning_rate": 0.05}, conservative_weight=weight))
        for _ in range(40):
            learner.update(batch())
        gaps[weight] = float(learner.losses(batch())["conservative_gap"])
    assert gaps[5.0] < gaps[0.0] - 0.3
