"""NumPy in float64 beside learners: networks, gradients by central differences, and what a learner's first update is taken with.

A first update is taken with plain gradient descent, so that the weights' change is the gradient.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.batch import Batch
from models.learners.actor_critic import ActorCritic
from models.learners.config import ActorCriticConfig
from models.learners.registry import LEARNERS
from models.optimisers import OptimiserConfig
from models.space import Space

Array = NDArray[np.float64]
S, D, B, H, LIMIT, RATE = 4, 2, 12, 6, 0.8, 1e-3
DESCENT = OptimiserConfig(name="sgd", momentum=0, max_gradient_norm=1e9)
COMMON: dict[str, Any] = {
    "hidden_dim": H,
    "optimiser": DESCENT,
    "actor_learning_rate": RATE,
    "critic_learning_rate": RATE,
}
TD = COMMON | {"discount": 0.9, "target_bounds": None, "policy_delay": 1}


def layers(weights: list[Array], s: Array) -> Array:
    """Two hidden ReLU layers and a linear one, of torch's linear layers' (out, in) matrices."""
    h = np.maximum(s @ weights[0].T + weights[1], 0)
    h = np.maximum(h @ weights[2].T + weights[3], 0)
    return h @ weights[4].T + weights[5]


def actor(weights: list[Array], s: Array) -> Array:
    """π(s), (B, D)."""
    return LIMIT * np.tanh(layers(weights, s))


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


def learner_of(config: ActorCriticConfig) -> ActorCritic:
    """A learner in float64, its targets as after some learning: they differ from what they follow."""
    torch.manual_seed(1)
    learner = LEARNERS[config.name].learner(config, Space(S, D, LIMIT, -4.0, 5.0), torch.device("cpu"), 0)
    assert isinstance(learner, ActorCritic)
    for name, network in learner.networks().items():
        network.double()
        if name.startswith("target"):
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, dtype=torch.float64))
    return learner


def need_descent(before: list[Array], module: torch.nn.Module, loss: Callable[[list[Array]], float]) -> None:
    """The module has moved from the weights `before` by RATE down the gradient of `loss`."""
    for old, new, slope in zip(before, weights_of(module), difference(loss, before), strict=True):
        np.testing.assert_allclose((old - new) / RATE, slope, rtol=1e-5, atol=1e-7)


def need_followed(before: list[Array], target: torch.nn.Module, source: torch.nn.Module, rate: float) -> None:
    """The target has moved from the weights `before` towards its source."""
    for was, is_now, followed in zip(before, weights_of(target), weights_of(source), strict=True):
        np.testing.assert_allclose(is_now, (1 - rate) * was + rate * followed, rtol=1e-12)
