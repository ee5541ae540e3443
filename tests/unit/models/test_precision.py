"""bfloat16 products: the same learning with less exact sums."""

import pytest
import torch
from torch import Tensor

from models.batch import Batch
from models.learners.config import LearnerConfig
from models.learners.ddpg import DDPGConfig
from models.learners.registry import make_learner
from models.learners.td3 import TD3Config
from models.learners.td3_bc import TD3BCConfig
from models.networks import Precision
from models.space import Space

S, D = 12, 4
ALGORITHMS = (DDPGConfig, TD3Config, TD3BCConfig)
CHOSEN = {
    "hidden_dim": 64,
    "actor_learning_rate": 1e-3,
    "critic_learning_rate": 1e-3,
    "target_rate": 0.02,
    "discount": 0.9,
}


def best_action(observation: Tensor) -> Tensor:
    """Another one for each state: (B, D)."""
    return 0.8 * torch.tanh(observation[:, :D] - observation[:, D : 2 * D])


def batch(rows: int, seed: int) -> Batch:
    """Episodes of random states that no action changes: an action's distance from the best is all that it costs."""
    generator = torch.Generator().manual_seed(seed)
    observation = torch.randn(rows, S, generator=generator)
    action = torch.rand(rows, D, generator=generator) * 2 - 1
    reward = 2 - (action - best_action(observation)).square().sum(1)
    terminal = (torch.rand(rows, generator=generator) < 0.3).float()
    return Batch(observation, action, reward, torch.randn(rows, S, generator=generator), terminal)


def regret(config: type[LearnerConfig], precision: Precision, seed: int) -> float:
    """Squared distance of the learnt action from the best one."""
    learner = make_learner(config(**CHOSEN, precision=precision), Space(S, D, 1.0, -10, 10), "cpu", seed)  # type: ignore[operator]
    for step in range(300):
        learner.update(batch(128, seed=1000 * seed + step))
    unseen = batch(1000, seed=10**6)
    return float((learner.act(unseen.observation) - best_action(unseen.observation)).square().sum(1).mean())


@pytest.mark.parametrize("config", ALGORITHMS)
def test_bfloat16_learns_as_well(config: type[LearnerConfig]) -> None:
    """Mean of two seeds: no more than a tenth of what learning gains is lost."""
    unlearnt = float(best_action(batch(1000, seed=10**6).observation).square().sum(1).mean())
    whole, half = (
        sum(regret(config, precision, seed) for seed in range(2)) / 2 for precision in ("float32", "bfloat16")
    )
    assert whole < 0.5 * unlearnt
    assert half < whole + 0.1 * (unlearnt - whole), (whole, half, unlearnt)


@pytest.mark.parametrize("config", ALGORITHMS)
def test_only_products_are_less_exact(config: type[LearnerConfig]) -> None:
    exact, rough = (
        make_learner(config(**CHOSEN, precision=precision), Space(S, D, 1.0, -10, 10), "cpu", seed=0)  # type: ignore[operator]
        for precision in ("float32", "bfloat16")
    )
    losses = rough.losses(batch(128, seed=0))
    for name, value in exact.losses(batch(128, seed=0)).items():
        torch.testing.assert_close(losses[name], value, rtol=0.05, atol=0.02)
    observation = batch(128, seed=0).observation
    assert not torch.equal(rough.act(observation), exact.act(observation))
    rough.update(batch(128, seed=0))
    assert {value.dtype for value in losses.values()} == {torch.float32}
    for network in rough.networks().values():
        for parameter in network.parameters():
            assert parameter.dtype == torch.float32
            assert parameter.grad is None or parameter.grad.dtype == torch.float32
