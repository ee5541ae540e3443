"""Episodes of recommendations to many simulated users at once."""

from copy import copy, deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from models.environments import behaviour
from models.environments.users import Bools, SimulatedUsers, UserStates
from models.environments.world import Doubles, Floats, Ints


@dataclass(frozen=True)
class DatasetView:
    """How policies see a simulation: as in the dataset that they are trained on.

    Attributes:
        embedding: (I, D) float32.
        frame: F, events in an observation.
        scale: a rating's reward is scale * rating + offset.
        offset: see `scale`.
    """

    embedding: Floats
    frame: int
    scale: float = 2.0
    offset: float = -5.0

    @property
    def observation_dim(self) -> int:
        """S = F * D + F."""
        return int(self.frame * (self.embedding.shape[1] + 1))

    @cached_property
    def unit(self) -> Floats:
        """The embeddings, of length 1: (I, D) float32."""
        return np.asarray(self.embedding / np.linalg.norm(self.embedding, axis=1, keepdims=True))

    def rewards(self, stars: Doubles) -> Doubles:
        """The rewards of ratings, any shape."""
        return self.scale * stars + self.offset


class EpisodeStep(NamedTuple):
    """One step of B episodes: rewards (B,), terminated (B,): the user left, truncated (B,): the horizon is reached."""

    rewards: Doubles
    terminated: Bools
    truncated: Bools


class Episodes:
    """B episodes side by side. Each begins after F events that the user chose by the behaviour policy, without leaving.

    A refused item gives a reward of 0 and does not enter the history, as logs of ratings do not show it.

    Attributes:
        items: the latest watched items, (B, F + horizon), newest last; -1: none.
        rewards: theirs, (B, F + horizon).
        states: of the users.
        active: (B,) whether the episode goes on.
    """

    def __init__(self, users: SimulatedUsers, view: DatasetView, rows: Ints, rng: np.random.Generator) -> None:
        """Start an episode for each of the users at `rows` (B,) of the world; `rng` draws all that happens."""
        self.users, self.view, self.rng = users, view, rng
        length = view.frame + users.mechanics.horizon
        self.items = np.full((len(rows), length), -1, dtype=np.int64)
        self.rewards = np.zeros((len(rows), length), dtype=np.float32)
        self.states: UserStates = users.start(rows)
        self.active: Bools = np.ones(len(rows), dtype=bool)
        self._watch_a_frame()
        self.states.steps[:] = 0

    def copy(self) -> "Episodes":
        """The same episodes, which go on by themselves from here, with the same random numbers."""
        other = copy(self)  # of users and view, which do not change, there is one
        other.items, other.rewards, other.active = self.items.copy(), self.rewards.copy(), self.active.copy()
        other.states, other.rng = self.states.of(np.arange(len(self.items))), deepcopy(self.rng)
        return other

    def _watch_a_frame(self) -> None:
        """Let the users choose until each has watched F items."""
        everyone = np.arange(len(self.items))
        while len(waiting := everyone[self.items[:, -self.view.frame] < 0]):
            part = self.states.of(waiting)
            chosen = behaviour.choose(self.users, part, self.items[waiting, -3:], self.rng)
            reactions = self.users.react(part, chosen, self.rng)
            self.states.put(waiting, part)
            self._remember(waiting[reactions.watched], chosen[reactions.watched], reactions.stars[reactions.watched])

    def step(self, items: Ints) -> EpisodeStep:
        """Recommend one item to each user, (B,)."""
        reactions = self.users.react(self.states, items, self.rng)
        watched = np.flatnonzero(reactions.watched)
        self._remember(watched, items[watched], reactions.stars[watched])
        rewards = np.where(reactions.watched, self.view.rewards(reactions.stars), 0.0)
        spent = (self.states.steps >= self.users.mechanics.horizon) | self.states.shown.all(1)
        self.active &= ~(reactions.left | spent)
        return EpisodeStep(rewards, reactions.left, spent & ~reactions.left)

    def nearest(self, actions: Floats) -> Ints:
        """The item not shown before with the highest cosine to each action (B, D): (B,)."""
        return np.asarray(np.where(self.states.shown, -np.inf, actions @ self.view.unit.T).argmax(1))

    def observations(self) -> Floats:
        """The dataset's observation, `[e_1 … e_F | r_1 … r_F]`, oldest first: (B, F * D + F) float32."""
        frame = self.view.frame
        embedded = self.view.embedding[self.items[:, -frame:]].reshape(len(self.items), -1)
        return np.concatenate((embedded, self.rewards[:, -frame:]), axis=1)

    def restart(self, rows: Ints, places: Ints) -> None:
        """Begin new episodes with the users at `rows` of the world in the given places, (N,) each."""
        fresh = Episodes(self.users, self.view, rows, self.rng)
        self.items[places], self.rewards[places] = fresh.items, fresh.rewards
        self.states.put(places, fresh.states)
        self.active[places] = True

    def _remember(self, places: Ints, items: Ints, stars: Doubles) -> None:
        for table in (self.items, self.rewards):
            table[places, :-1] = table[places, 1:]
        self.items[places, -1] = items
        self.rewards[places, -1] = self.view.rewards(stars)
