"""The true state of simulated users, in numbers: the critic may know it in training, the actor never does."""

import numpy as np

from models.environments.users import SimulatedUsers, UserStates
from models.environments.world import Floats


def true_states(users: SimulatedUsers, states: UserStates) -> Floats:
    """The state of each user, (B, P) float32, P = K + 3 T + 3, in numbers of about 1.

    Taste and leniency, satisfaction, how long each topic still bores, whether it does, its share of the latest items, and the
    share of the horizon that is over. An asymmetric actor-critic (Pinto et al. 2018, arXiv:1710.06542) estimates V from these.
    """
    world, mechanics = users.world, users.mechanics
    topics = np.arange(world.topic_count)
    parts = (
        world.users[states.user] / world.users.std(),
        world.leniency[states.user, None],
        states.satisfaction[:, None],
        states.bored / mechanics.bored_for,
        states.bored > 0,
        (states.latest[:, :, None] == topics).mean(1),
        states.steps[:, None] / mechanics.horizon,
    )
    return np.concatenate(parts, 1).astype(np.float32)


def true_state_dim(users: SimulatedUsers) -> int:
    """P."""
    return int(users.world.users.shape[1] + 3 * users.world.topic_count + 3)
