"""A dataset of ratings beside simulated users that are fitted to it, and how well they predict what they were not fitted to.

What is fitted on whom: the rating model and the items' popularity on training users up to the time cut; the weights of its terms,
the noise, the weights of choices and the length of stay on validation users up to the time cut; the taste of a validation or test
user on the first part of that user's own history. Later events of test users are used to measure predictions alone.
"""

from typing import NamedTuple, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.baselines.training import TrainingData
from models.environments.episodes import DatasetView
from models.environments.fitted import (
    STRENGTHS,
    Fitted,
    Items,
    People,
    Scale,
    Strength,
    fit_ratings,
    fit_world,
    principal_components,
)
from models.environments.mechanics import Mechanics
from models.environments.sessions import logged_survival, mean_length, satisfactions, simulated_survival, with_exit_rate
from models.environments.users import SimulatedUsers
from models.environments.world import Doubles, Ints
from models.histories import Histories
from models.rating_model import RatingConfig, RatingModel
from storage.dataset.format import SPLIT_NAMES
from storage.dataset.histories import rows_of
from storage.dataset.reader import TransitionDataset
from storage.errors import MarqueeError

USERS_AT_ONCE = 128
CELLS = 3_000_000  # steps × items of the fit of users' choices


class NoEnvironmentError(MarqueeError):
    """A dataset has no users to simulate."""


class FittedParams(BaseModel):
    """How simulated users are fitted to a dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: int = Field(1000, ge=2, le=1_000_000, description="Number of users of each split, at most; drawn at random.")
    known: float = Field(
        0.8,
        gt=0,
        lt=1,
        description="Share of a validation or test user's history, from its start, that the taste is fitted to.",
    )
    ratings: RatingConfig = Field(RatingConfig(), description="The model of ratings.")
    steps: int = Field(
        500, ge=20, le=100_000, description="Number of choices, at most, to which the weights of choosing are fitted."
    )
    paths: int = Field(
        50, ge=2, le=10_000, description="Number of simulated users to whose stay the exit rate is fitted."
    )
    mechanics: Mechanics = Field(
        Mechanics(appeal=0.0, horizon=30),
        description="What is assumed; only `acceptance_slope` and `exit_rate` are fitted.",
    )
    strength: Strength = Field(STRENGTHS[0], description="Strength of the mechanisms that no log shows.")
    seed: int = Field(0, ge=0, description="Seed of all random draws.")


class Later(NamedTuple):
    """The later events of some users: places (N,) of the users among those of the world, rows (N,) of the events."""

    users: Tensor
    events: Tensor


class FittedDataset:
    """A dataset beside simulated users that are fitted to it.

    Attributes:
        data: the dataset.
        rows: (U,) rows of the world of the dataset's users; -1: not in it.
        users: the simulated users.
        view: how policies see them.
    """

    def __init__(self, data: TransitionDataset, params: FittedParams, splits: tuple[str, ...] = SPLIT_NAMES) -> None:
        """Fit the users.

        Args:
            data: on the CPU.
            params: how to fit.
            splits: whose users are in the world.

        Raises:
            NoEnvironmentError: there are too few users.
        """
        if not self.can_be_fitted(data):
            raise NoEnvironmentError(
                f"{data.path}: expected training users, and 2 validation users or more, with more events than a frame; found "
                "fewer. Give more ratings, or use a split by users (leave-one-out has no validation users), or another selection "
                "criterion than fitted_return."
            )
        self.data, self.params = data, params
        rng = np.random.default_rng(params.seed)
        of_split = [np.flatnonzero(data.user_split == SPLIT_NAMES.index(name)) for name in splits]
        chosen = np.sort(np.concatenate([rng.permutation(users)[: params.users] for users in of_split]))
        self.rows = np.full(len(data.user_ids), -1)
        self.rows[chosen] = np.arange(len(chosen))
        self.chosen = torch.from_numpy(chosen)
        training = TrainingData(*data.training_events(), data.embedding)
        model = RatingModel(params.ratings, training, params.seed)
        self.items = Items(model, principal_components(data.embedding))
        self.people = self._people()
        self.scale = Scale(
            data.scale.lowest, data.scale.highest, data.scale.step, data.reward.scale, data.reward.offset
        )
        later = self.later("validation")
        terms = self.items.terms(self.people, later.users, data.item[later.events].long())
        self.fit = fit_ratings(terms, self.ratings(later))
        self.view = DatasetView(data.embedding.numpy(), int(data.frame), data.reward.scale, data.reward.offset)
        self.fitted = self._world(training, later)
        self.length = mean_length(self.logged_survival("validation"))
        self.users = self.with_strength(params.strength)

    @classmethod
    def for_training(cls, data: TransitionDataset, params: FittedParams) -> Self:
        """The users with whom policies may be trained and selected: no test user is among them.

        Raises:
            NoEnvironmentError: there are too few users.
        """
        return cls(data, params, ("train", "validation"))

    @staticmethod
    def can_be_fitted(data: TransitionDataset) -> bool:
        """Whether there are training users, and validation users with later events."""
        long_enough = data.timely > data.frame
        return bool(long_enough[data.user_split == 0].any() and (long_enough[data.user_split == 1]).sum() >= 2)

    def with_strength(self, strength: Strength) -> SimulatedUsers:
        """The users with mechanisms of this strength, who stay as long on average as those of the log."""
        world, ratings, choices, slope = self.fitted
        mechanics = strength.of(self.params.mechanics).model_copy(update={"acceptance_slope": min(slope, 10.0)})
        users = SimulatedUsers(world, mechanics, ratings, choices)
        return with_exit_rate(users, self.paths(users, "validation"), self.length)

    def paths(self, users: SimulatedUsers, split: str) -> Doubles:
        """Satisfactions of users of a split who choose for themselves, see `sessions.satisfactions`."""
        rows = self.rows[(self.data.user_split == SPLIT_NAMES.index(split)) & (self.rows >= 0)]
        rng = np.random.default_rng(self.params.seed)
        return satisfactions(users, rng.permutation(rows)[: self.params.paths], int(self.data.frame), rng)

    def logged_survival(self, split: str) -> Doubles:
        """How long the users of a split go on after F events, (horizon + 1,); a history ends where its user leaves."""
        of_split = self.data.user_split == SPLIT_NAMES.index(split)
        total, there = self.data.head.offset[1:] - self.data.head.offset[:-1], self._ends() - self.data.head.offset[:-1]
        lengths, ended = there - int(self.data.frame), there == total
        known = of_split & (lengths > 0)
        return logged_survival(lengths[known], ended[known], self.params.mechanics.horizon)

    def simulated_survival(self, split: str) -> Doubles:
        """The same of simulated users."""
        return simulated_survival(self.users, self.paths(self.users, split))

    def later(self, split: str) -> Later:
        """The events of a split's users after the part that their taste is fitted to."""
        offset = self.data.head.offset
        of_split = np.flatnonzero((self.data.user_split == SPLIT_NAMES.index(split)) & (self.rows >= 0))
        first, last = self._known()[of_split], self._ends()[of_split]
        count = last - first
        events = rows_of(first, count)
        assert (events < offset[-1]).all()  # noqa: S101
        return Later(torch.from_numpy(np.repeat(self.rows[of_split], count)), torch.from_numpy(events))

    def ratings(self, later: Later) -> Doubles:
        """The ratings of later events, (N,)."""
        return self.scale.ratings(self.data.rewards_of(later.events))

    def _ends(self) -> Ints:
        """The event after each user's last one that may be used, (U,): for test users all may, for others up to the time cut."""
        offset = self.data.head.offset
        return np.where(self.data.user_split == SPLIT_NAMES.index("test"), offset[1:], offset[:-1] + self.data.timely)

    def _known(self) -> Ints:
        """The event after the last one that each user's taste is fitted to, (U,)."""
        begin, end = self.data.head.offset[:-1], self._ends()
        part = begin + ((end - begin) * self.params.known).astype(np.int64)
        return np.where(self.data.user_split == SPLIT_NAMES.index("train"), end, part)

    def _people(self) -> People:
        begin, end = self.data.offset[self.chosen], torch.from_numpy(self._known())[self.chosen]
        parts = [
            self.items.people(Histories(*self.data.events_between(begin[place], end[place])))
            for place in torch.arange(len(begin)).split(USERS_AT_ONCE)
        ]
        return People(*(torch.cat(tables) for tables in zip(*parts, strict=True)))

    def _world(self, training: TrainingData, later: Later) -> Fitted:
        events, items = later.events, self.data.item[later.events].long()
        rng = np.random.default_rng(self.params.seed)
        order = torch.from_numpy(rng.permutation(len(events)))[: min(self.params.steps, CELLS // self.data.items)]
        users, events, items = later.users[order], events[order], items[order]
        histories = Histories(*self.data.events_between(self.data.offset[self.chosen[users]], events))
        new = ~(histories.items == items.unsqueeze(1)).any(
            1
        )  # an item that is rated again was no choice among new ones
        chosen = Histories(histories.items[new], histories.rewards[new]), users[new], items[new]
        return fit_world(self.items, self.fit, self.people, training, self.scale, chosen, self.params.seed)
