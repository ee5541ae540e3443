"""Configs of all learners that learn quickly, a problem of one step, and a training loop."""

from typing import Any

import pytest
import torch
from torch import Tensor

from models.batch import Batch
from models.learners.actor import ActorLearner
from models.learners.config import ActorConfig
from models.learners.cql import CQLConfig
from models.learners.iql import IQLConfig
from models.learners.policy_learning import PolicyLearningConfig
from models.learners.registry import LEARNERS, TRANSITION_LEARNERS, make_learner
from models.learners.td3_bc import TD3BCConfig
from models.space import Space

ACTOR: dict[str, Any] = {"hidden_dim": 32, "actor_learning_rate": 3e-3}
CRITIC = ACTOR | {"critic_learning_rate": 3e-3}
FAST = CRITIC | {
    "target_rate": 0.02,
    "good_reward": 0.9,
    "vae_learning_rate": 3e-3,
    "perturbation": 0.5,
    "initial_temperature": 0.01,
    "sampled_actions": 2,
}


def fast(name: str) -> ActorConfig:
    """A learner's config with the values of FAST that it has."""
    config = LEARNERS[name].config
    values = {key: value for key, value in FAST.items() if key in config.model_fields}
    made = config.model_validate(values)
    assert isinstance(made, ActorConfig)
    return made


# From the registry: a new learner is under this suite without a line here.
CONFIGS: dict[str, ActorConfig] = {name: fast(name) for name in TRANSITION_LEARNERS} | {
    "policy_learning-exponential": PolicyLearningConfig(**ACTOR, weighting="exponential", temperature=0.1),
}
# At their defaults these stay near the logged actions, whose mean is not the best one; like this they must find that.
SEEKING = CONFIGS | {
    "td3_bc": TD3BCConfig(**CRITIC, target_rate=0.02, alpha=100),
    "iql": IQLConfig(**CRITIC, target_rate=0.02, expectile=0.9, temperature=10),
    "cql": CQLConfig(**CRITIC, target_rate=0.02, initial_temperature=0.01, sampled_actions=2, conservative_weight=0.1),
}
VALUE_BASED = ("td_actor_critic", "ddpg", "td3", "td3_bc", "iql", "bcq", "sac", "cql")
S, D = 3, 2
BEST = torch.tensor([0.5, -0.3])
every_learner = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def learner_of(config: ActorConfig, seed: int = 0) -> ActorLearner:
    return make_learner(config, Space(S, D, 1.0, -4.0, 5.0), "cpu", seed)


def bandit_reward(action: Tensor) -> Tensor:
    """1 - |a - BEST|², (B,): the best action is the same everywhere."""
    return 1 - (action - BEST).square().sum(1)


def bandit(rows: int, seed: int = 0) -> Batch:
    """One-step episodes; actions logged at random."""
    generator = torch.Generator().manual_seed(seed)
    observation = torch.randn((rows, S), generator=generator)
    action = torch.rand((rows, D), generator=generator) * 2 - 1
    elsewhere = torch.randn((rows, S), generator=generator)
    return Batch(observation, action, bandit_reward(action), elsewhere, torch.ones(rows))


def train(learner: ActorLearner, steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        learner.update(bandit(64, seed=step))
