"""Episodes of recommendations to many simulated users at once."""

from typing import NamedTuple

import numpy as np

from models.environments import behaviour
from models.environments.users import Bools, SimulatedUsers, UserStates
from models.environments.world import Doubles, Floats, Ints


class Catalogue(NamedTuple):
    """What policies know of a simulation: as in the dataset that they are trained on.

    embedding (I, D) float32; frame F, events in an observation; a rating's reward is scale * stars + offset.
    """

    embedding: Floats
    frame: int
    scale: float = 2.0
    offset: float = -5.0

    @property
    def observation_dim(self) -> int:
        """S = F * D + F."""
        return int(self.frame * (self.embedding.shape[1] + 1))


class Step(NamedTuple):
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
        states: what the users are in.
    """

    def __init__(self, users: SimulatedUsers, catalogue: Catalogue, rows: Ints, rng: np.random.Generator) -> None:
        """Start an episode for each of the users at `rows` (B,) of the world; `rng` draws all that happens."""
        self.users, self.catalogue, self.rng = users, catalogue, rng
        length = catalogue.frame + users.mechanics.horizon
        self.items = np.full((len(rows), length), -1, dtype=np.int64)
        self.rewards = np.zeros((len(rows), length), dtype=np.float32)
        self.states: UserStates = users.start(rows)
        self._watch_a_frame()
        self.states.steps[:] = 0

    def _watch_a_frame(self) -> None:
        """Let the users choose until each has watched F items."""
        everyone = np.arange(len(self.items))
        while len(waiting := everyone[self.items[:, -self.catalogue.frame] < 0]):
            part = self.states.of(waiting)
            chosen = behaviour.choose(self.users, part, self.items[waiting, -3:], self.rng)
            reactions = self.users.react(part, chosen, self.rng)
            self.states.put(waiting, part)
            self._remember(waiting[reactions.watched], chosen[reactions.watched], reactions.stars[reactions.watched])

    def step(self, items: Ints) -> Step:
        """Recommend one item to each user, (B,)."""
        reactions = self.users.react(self.states, items, self.rng)
        watched = np.flatnonzero(reactions.watched)
        self._remember(watched, items[watched], reactions.stars[watched])
        rewards = np.where(reactions.watched, self.catalogue.scale * reactions.stars + self.catalogue.offset, 0.0)
        spent = (self.states.steps >= self.users.mechanics.horizon) | self.states.shown.all(1)
        return Step(rewards, reactions.left, spent & ~reactions.left)

    def nearest(self, actions: Floats) -> Ints:
        """The item not shown before with the highest cosine to each action (B, D): (B,)."""
        embedding = self.catalogue.embedding
        unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
        return np.asarray(np.where(self.states.shown, -np.inf, actions @ unit.T).argmax(1))

    def observations(self) -> Floats:
        """The dataset's observation, `[e_1 … e_F | r_1 … r_F]`, oldest first: (B, F * D + F) float32."""
        frame = self.catalogue.frame
        embedded = self.catalogue.embedding[self.items[:, -frame:]].reshape(len(self.items), -1)
        return np.concatenate((embedded, self.rewards[:, -frame:]), axis=1)

    def restart(self, rows: Ints, places: Ints) -> None:
        """Begin new episodes with the users at `rows` of the world in the given places, (N,) each."""
        fresh = Episodes(self.users, self.catalogue, rows, self.rng)
        self.items[places], self.rewards[places] = fresh.items, fresh.rewards
        self.states.put(places, fresh.states)

    def _remember(self, places: Ints, items: Ints, stars: Doubles) -> None:
        for table in (self.items, self.rewards):
            table[places, :-1] = table[places, 1:]
        self.items[places, -1] = items
        self.rewards[places, -1] = self.catalogue.scale * stars + self.catalogue.offset
