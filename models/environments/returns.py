"""The return of a policy in a simulation: the sum of rewards until the user leaves or the horizon is reached."""

from typing import NamedTuple

import numpy as np

from models.environments.controls import Chooser
from models.environments.episodes import DatasetView, Episodes
from models.environments.users import SimulatedUsers, bores
from models.environments.world import Doubles, Ints


class Returns(NamedTuple):
    """By user, (U,) each, what happens until the end of the episode."""

    values: Doubles  # undiscounted returns
    lengths: Ints  # recommendations
    watched: Ints  # how many of them were watched
    boring: Ints  # how many of them were of a topic that bored the user then


def returns_of(choose: Chooser, users: SimulatedUsers, view: DatasetView, rows: Ints, seed: int) -> Returns:
    """Roll a chooser out, one episode for each user.

    With equal arguments, two choosers meet the same first frames and the same random numbers at each step, so that the
    difference of their returns varies little.

    Args:
        choose: gives each user's next item.
        users: a world and its mechanics.
        view: how policies see the simulation.
        rows: (U,) users of the world.
        seed: of all that users do.
    """
    return roll_out(choose, Episodes(users, view, rows, np.random.default_rng(seed)))


def roll_out(choose: Chooser, episodes: Episodes) -> Returns:
    """Roll a chooser out in episodes that have just begun; they change."""
    rows = episodes.states.user
    values, counts = np.zeros(len(rows)), np.zeros((3, len(rows)), dtype=np.int64)
    while (active := episodes.active.copy()).any():
        items, events = choose(episodes), (episodes.items >= 0).sum(1)
        boring = bores(episodes.states.bored, episodes.users.world.topics[items[:, None]])[:, 0]
        values += np.where(active, episodes.step(items).rewards, 0.0)
        watched = (episodes.items >= 0).sum(1) > events
        counts += active & np.stack((active, watched, boring))
    return Returns(values, *counts)
