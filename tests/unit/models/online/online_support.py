"""A small environment, and the parameters of trainings that take a second."""

import numpy as np
import torch

from models.environments.controls import of_policy
from models.environments.marquee import MarqueeParams, Problem
from models.environments.mechanics import Mechanics
from models.environments.returns import returns_of
from models.networks import Actor
from models.online.params import OnlineParams, PPOParams, SACParams
from models.policy import Policy

PROBLEM = Problem.drawn(
    MarqueeParams(users=40, items=60, frame=3, actions="item", mechanics=Mechanics(horizon=20, exit_rate=0.02))
)
EMBEDDING = torch.from_numpy(PROBLEM.view.embedding)
SHORT = OnlineParams(
    steps=512,
    envs=8,
    hidden_dim=16,
    validate_every=256,
    ppo=PPOParams(n_steps=16, batch_size=64, n_epochs=2),
    sac=SACParams(learning_starts=64, buffer_size=1000, batch_size=32),
)


def new_actor(seed: int = 0, hidden_dim: int = 16) -> Actor:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        reach = float(EMBEDDING.abs().max())
        return Actor(PROBLEM.view.observation_dim, EMBEDDING.shape[1], hidden_dim, reach)


def return_of(policy: Policy) -> float:
    """Of all users of the world."""
    users = np.arange(len(PROBLEM.users.world.users))
    return float(returns_of(of_policy(policy), PROBLEM.users, PROBLEM.view, users, 0).values.mean())
