"""The return of a policy in a simulation: the sum of rewards until the user leaves or the horizon is reached."""

from typing import NamedTuple

import numpy as np

from models.environments.controls import Chooser
from models.environments.episodes import DatasetView, Episodes
from models.environments.users import SimulatedUsers
from models.environments.world import Doubles, Ints


class Returns(NamedTuple):
    """By user: undiscounted returns (U,), and recommendations until the end (U,)."""

    values: Doubles
    lengths: Ints


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
    values, lengths = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64)
    while (active := episodes.active.copy()).any():
        values += np.where(active, episodes.step(choose(episodes)).rewards, 0.0)
        lengths += active
    return Returns(values, lengths)
