"""The stated behaviour policy: how simulated users choose what they watch by themselves."""

import numpy as np

from models.environments.users import SimulatedUsers, UserStates
from models.environments.world import Doubles, Ints


def choose(users: SimulatedUsers, states: UserStates, recent: Ints, rng: np.random.Generator) -> Ints:
    """Draw each user's next item, (B,), from a softmax over popularity, affinity, appeal and similarity to the latest items.

    The users do not foresee boredom or what an item does to their satisfaction.

    Args:
        users: of the states.
        states: of B users; items shown before are not chosen again.
        recent: (B, 3) the latest items; -1: none.
        rng: draws.
    """
    logits = log_weights(users, states, recent) / users.choices.temperature + rng.gumbel(size=states.shown.shape)
    return np.asarray(np.where(states.shown, -np.inf, logits).argmax(1))


def log_weights(users: SimulatedUsers, states: UserStates, recent: Ints) -> Doubles:
    """The softmax's logits before the temperature, (B, I)."""
    world, choices = users.world, users.choices
    contents = world.items if choices.contents is None else choices.contents
    liked = world.popularity + choices.affinity * world.affinity(states.user) + choices.appeal * world.appeal
    pull = (contents[recent] * (recent >= 0)[:, :, None]).sum(1)
    return np.asarray(liked + choices.similarity * (pull.astype(np.float64) @ contents.T.astype(np.float64)))
