"""A dataset of generated ratings beside the simulated users that it was generated from."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.environments.episodes import DatasetView
from models.environments.logs import Log
from models.environments.users import SimulatedUsers
from storage.dataset.reader import TransitionDataset


class Truth(NamedTuple):
    """What generated ratings were drawn from: users of a world, the log with their states, the ids in the files."""

    users: SimulatedUsers
    log: Log
    user_ids: NDArray[np.int64]  # (U,) ascending
    movie_ids: NDArray[np.int64]  # (I,) ascending


class SimulatedDataset:
    """A dataset of generated ratings beside the users that it was generated from."""

    def __init__(self, truth: Truth, data: TransitionDataset) -> None:
        """`data`: of the whole log of `truth`; see `belongs`."""
        self.truth, self.data = truth, data
        self.rows = truth.user_ids.searchsorted(data.user_ids)  # (U,) of the world
        items = truth.movie_ids.searchsorted(data.movie_ids)
        world = truth.users.world.part(np.arange(len(truth.user_ids)), items)
        self.users = SimulatedUsers(world, truth.users.mechanics)
        self.view = DatasetView(data.embedding.numpy(), int(data.frame), data.reward.scale, data.reward.offset)

    @staticmethod
    def belongs(truth: Truth, data: TransitionDataset) -> bool:
        """Whether the dataset's users, items and ratings are those of the truth."""
        known = np.isin(data.user_ids, truth.user_ids).all() and np.isin(data.movie_ids, truth.movie_ids).all()
        return bool(known) and len(data.item) == int(np.isin(truth.user_ids[truth.log.user], data.user_ids).sum())

    def true_rewards(self, starts: Tensor) -> NDArray[np.float32]:
        """The mean reward that a user would give each item if they watched it, in the state at each start.

        Args:
            starts: (B,) of the dataset's transitions.

        Returns: (B, I) float32.
        """
        users = self.data.users_of(starts).numpy()
        place = starts.numpy() + int(self.data.frame) - self.data.offset.numpy()[users]
        row = np.searchsorted(self.truth.log.user, self.rows[users]) + place
        states = self.users.start(self.rows[users])
        states.satisfaction[:] = self.truth.log.satisfaction[row]
        states.bored[:] = self.truth.log.bored[row]
        topics = self.truth.users.world.topics[self.truth.log.item]
        for back in range(1, states.latest.shape[1] + 1):
            known = place >= back
            states.latest[known, -back] = topics[row[known] - back]
        stars = self.users.expected_stars(states, self.users.liking(states))
        return (self.data.reward.scale * stars + self.data.reward.offset).astype(np.float32)
