"""How long users stay: in a log, and in a simulation, whose exit rate is set so that both are equal on average."""

import numpy as np

from models.environments import behaviour
from models.environments.users import Bools, SimulatedUsers
from models.environments.world import Doubles, Ints

ROUNDS = 60  # of bisection, each halves the interval of the rate's logarithm
LEAST_RATE = 1e-6


def logged_survival(lengths: Ints, ended: Bools, horizon: int) -> Doubles:
    """The share of users who go on after t events, (horizon + 1,), t = 0 … horizon (Kaplan & Meier 1958).

    Args:
        lengths: (U,) events of each user.
        ended: (U,) whether the user left after them; else the log was cut off, and nobody knows.
        horizon: last t.
    """
    leaving = np.bincount(np.minimum(lengths[ended], horizon + 1), minlength=horizon + 2)[: horizon + 1]
    there = np.array([(lengths >= events).sum() for events in range(horizon + 1)])
    return np.cumprod(1 - leaving / np.maximum(there, 1))


def mean_length(survival: Doubles) -> float:
    """The mean number of events, at most the horizon, of a survival (horizon + 1,)."""
    return float(survival[:-1].sum())


def satisfactions(users: SimulatedUsers, rows: Ints, skip: int, rng: np.random.Generator) -> Doubles:
    """The satisfaction of users who choose for themselves and do not leave, after each of `horizon` items: (B, horizon).

    They watch what they choose, as a log of ratings shows no refusals.

    Args:
        users: a world and its mechanics.
        rows: (B,) users of the world.
        skip: items watched before the first of them.
        rng: draws the choices.
    """
    states, everyone = users.start(rows), np.ones(len(rows), dtype=bool)
    recent = np.full((len(rows), 3), -1, dtype=np.int64)
    found = np.zeros((len(rows), skip + users.mechanics.horizon))
    for place in range(found.shape[1]):
        items = behaviour.choose(users, states, recent, rng)
        users.change(states, items, users.experience(states, items[:, None])[:, 0], everyone)
        recent = np.column_stack((recent[:, 1:], items))
        found[:, place] = states.satisfaction
    return found[:, skip:]


def simulated_survival(users: SimulatedUsers, paths: Doubles) -> Doubles:
    """The share of users who go on after t items, (horizon + 1,), on these paths of satisfaction (B, horizon)."""
    going_on = np.cumprod(1 - users.chance_to_leave(paths), axis=1).mean(0)
    return np.concatenate(([1.0], going_on))


def with_exit_rate(users: SimulatedUsers, paths: Doubles, length: float) -> SimulatedUsers:
    """The same users with the exit rate at which their mean length is `length`, as far as a rate from 0 to 1 can."""

    def at(rate: float) -> SimulatedUsers:
        return users.with_mechanics(users.mechanics.model_copy(update={"exit_rate": rate}))

    low, high = np.log(LEAST_RATE), 0.0
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        longer = mean_length(simulated_survival(at(float(np.exp(middle))), paths)) > length
        low, high = (middle, high) if longer else (low, middle)
    return at(float(np.exp(high)))
