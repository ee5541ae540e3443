"""A log of ratings: what simulated users watch under the behaviour policy, until they leave."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.environments import behaviour
from models.environments.users import Bools, SimulatedUsers
from models.environments.world import Doubles, Ints

USERS_AT_ONCE = 256


class Log(NamedTuple):
    """N ratings, by user and in order, and the user's state before each."""

    user: Ints  # (N,) rows of the world
    item: Ints  # (N,)
    stars: Doubles  # (N,)
    satisfaction: Doubles  # (N,) m
    bored: Bools  # (N, T) whether a topic bored

    def of(self, rows: NDArray[Any]) -> "Log":
        """The rows that are chosen by a mask (N,), or in an order (N,)."""
        return Log(*(table[rows] for table in self))

    @classmethod
    def joined(cls, logs: Sequence["Log"]) -> "Log":
        """One log after another."""
        return cls(*(np.concatenate(parts) for parts in zip(*logs, strict=True)))


def roll_out_log(users: SimulatedUsers, least: int, most: int, rng: np.random.Generator) -> Log:
    """Let every user of the world choose by the behaviour policy, until they leave.

    Refused items are not in the log, as nobody rates what they did not watch.

    Args:
        users: a world and its mechanics.
        least: no user leaves before so many ratings, as releases of MovieLens hold only users with 20 or more.
        most: every user leaves after so many.
        rng: draws all of it.
    """
    everyone = np.arange(len(users.world.users))
    blocks = [everyone[start : start + USERS_AT_ONCE] for start in range(0, len(everyone), USERS_AT_ONCE)]
    logs = [_of_block(users, rows, least, most, rng) for rows in blocks]
    return Log.joined(logs)


def _of_block(users: SimulatedUsers, rows: Ints, least: int, most: int, rng: np.random.Generator) -> Log:
    states, here = users.start(rows), np.arange(len(rows))
    recent, counts = np.full((len(rows), 3), -1, dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
    choosable = int(np.isfinite(users.world.popularity).sum())
    rounds: list[Log] = []
    while len(here):
        part = states.of(here)
        items = behaviour.choose(users, part, recent[here], rng)
        satisfaction, bored = part.satisfaction.copy(), part.bored > 0
        reactions = users.react(part, items, rng)
        states.put(here, part)
        watched = here[reactions.watched]
        recent[watched] = np.column_stack((recent[watched, 1:], items[reactions.watched]))
        counts[watched] += 1
        rounds.append(Log(rows[here], items, reactions.stars, satisfaction, bored).of(reactions.watched))
        ended = (reactions.left & (counts[here] >= least)) | (counts[here] >= most) | (states.steps[here] >= choosable)
        here = here[~ended]
    log = Log.joined(rounds)
    return log.of(np.argsort(log.user, kind="stable"))
