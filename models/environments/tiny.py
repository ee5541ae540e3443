"""`MarqueeTiny-v0`: four items and 108 states, so that the optimum is computed exactly by dynamic programming.

Two topics, each with an appealing item (more reward now, less satisfaction later) and a plain one. Two items of one topic in a
row bore the user with it for the next two steps. The user leaves with a chance that falls with satisfaction.
"""

from itertools import product
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from models.environments.world import Doubles, Floats, Ints

TOPICS = (0, 0, 1, 1)  # of the items
APPEALING = (True, False, True, False)
MOODS = (-1, 0, 1, 2)  # satisfaction
BORED_FOR = 2  # steps
REWARDS = ((3.0, 1.0), (2.5, 0.5))  # by topic: of the appealing and of the plain item
BOREDOM = 4.0  # taken from the reward of a boring topic's items
LEAVE = (0.6, 0.2, 0.03, 0.02)  # chance to leave by mood
DISCOUNT = 0.95


class TinyState(NamedTuple):
    """What the user is in: place in MOODS, the last item's topic (2: none), steps of boredom left by topic."""

    mood: int
    last: int
    bored: tuple[int, int]


STATES = [
    TinyState(mood, last, (first, second))
    for mood, last, first, second in product(range(4), range(3), range(BORED_FOR + 1), range(BORED_FOR + 1))
]
PLACE = {state: place for place, state in enumerate(STATES)}
START = PLACE[TinyState(1, 2, (0, 0))]


def after(state: TinyState, item: int) -> tuple[TinyState, float]:
    """The user's next state and the reward of an item, before the chance to leave."""
    topic = TOPICS[item]
    boring = state.bored[topic] > 0
    reward = REWARDS[topic][0 if APPEALING[item] else 1] - BOREDOM * boring
    change = -1 if APPEALING[item] or boring else 1
    bored = [max(left - 1, 0) for left in state.bored]
    if state.last == topic and not boring:
        bored[topic] = BORED_FOR
    return TinyState(min(max(state.mood + change, 0), 3), topic, (bored[0], bored[1])), reward


class TinyModel(NamedTuple):
    """The decision process in tables of S states and A items."""

    following: Ints  # (S, A) the next state, if the user stays
    rewards: Doubles  # (S, A)
    stay: Doubles  # (S, A) chance to stay


def tiny_model() -> TinyModel:
    """The tables of `MarqueeTiny-v0`."""
    found = [[after(state, item) for item in range(len(TOPICS))] for state in STATES]
    following = np.array([[PLACE[state] for state, _ in row] for row in found])
    moods = np.array([[state.mood for state, _ in row] for row in found])
    return TinyModel(following, np.array([[reward for _, reward in row] for row in found]), 1 - np.array(LEAVE)[moods])


def state_action_values(model: TinyModel, values: Doubles, discount: float = DISCOUNT) -> Doubles:
    """Q(s, i) = r + γ P(stay) V(s'), (S, A), of values V (S,) (Sutton & Barto 2018, eq. 4.6)."""
    return np.asarray(model.rewards + discount * model.stay * values[model.following])


def optimal_values(model: TinyModel, discount: float = DISCOUNT) -> Doubles:
    """V* by value iteration, (S,), to 1e-12 (Sutton & Barto 2018, §4.4)."""
    values = np.zeros(len(model.rewards))
    while True:
        better = state_action_values(model, values, discount).max(1)
        if np.abs(better - values).max() < 1e-12:
            return np.asarray(better)
        values = better


def state_values(model: TinyModel, policy: NDArray[np.int64], discount: float = DISCOUNT) -> Doubles:
    """V of a deterministic policy, item by state (S,), by solving V = r + γ P V: (S,)."""
    rows = np.arange(len(policy))
    transition = np.zeros((len(rows), len(rows)))
    transition[rows, model.following[rows, policy]] = discount * model.stay[rows, policy]
    return np.asarray(np.linalg.solve(np.eye(len(rows)) - transition, model.rewards[rows, policy]), dtype=np.float64)


def observation_of(state: TinyState) -> Floats:
    """One-hot mood, last topic, and steps of boredom of both topics: (13,) float32."""
    parts = [np.eye(4)[state.mood], np.eye(3)[state.last], *(np.eye(BORED_FOR + 1)[left] for left in state.bored)]
    return np.concatenate(parts).astype(np.float32)


OBSERVATIONS: Floats = np.stack([observation_of(state) for state in STATES])  # (S, 13)


class TinyEnv(gymnasium.Env[Floats, Any]):
    """The tiny user as a Gymnasium environment; an action is an item, 0 … 3."""

    metadata = {"render_modes": []}  # noqa: RUF012  # as Gymnasium declares it

    def __init__(self) -> None:
        self.model = tiny_model()
        self.observation_space = spaces.Box(0.0, 1.0, OBSERVATIONS.shape[1:], np.float32)
        self.action_space = spaces.Discrete(len(TOPICS))
        self.state = START

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Begin with a neutral user."""
        super().reset(seed=seed)
        self.state = START
        return OBSERVATIONS[self.state].copy(), {}

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Recommend the item."""
        here = self.state, int(action)
        left = bool(self.np_random.random() >= self.model.stay[here])
        self.state = int(self.model.following[here])
        return OBSERVATIONS[self.state].copy(), float(self.model.rewards[here]), left, False, {}
