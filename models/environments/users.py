"""Simulated users: whether they watch a recommended item, how they rate it, how it changes them, when they leave.

Liking of item i with topic z: l = a(u, i) + appeal h_i + satisfaction m - boredom [z bores] - satiation share(z).
It decides about watching, P(watch) = σ(acceptance + acceptance_slope l), and rating (`ratings.py`).

- Threshold boredom: `bored_after` items of a topic among the latest `bored_within` make it boring for `bored_for` more items
  (SARDINE, Deffayet et al. 2023, arXiv:2311.16586).
- After-effect: m ← memory m + (1 - memory) e - after_effect h, where e is the liking without m, or -refusal: appeal gives
  pleasure now and takes satisfaction later (choc and kale; RecSim, Ie et al. 2019, arXiv:1909.04847).
- Exit: P(leave) = exit_rate exp(-exit_slope m), at most 1 (retention in KuaiSim, Zhao et al. 2023, arXiv:2309.12645).
- Satiation, smooth: the topic's share among the latest items (Rebounding Bandits, Leqi et al. 2021).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.environments.choices import Choices
from models.environments.mechanics import Mechanics
from models.environments.ratings import Ratings
from models.environments.world import Doubles, Ints, World

RATINGS, CHOICES = Ratings(), Choices()  # of a drawn world
Bools = NDArray[np.bool_]


class UserStates(NamedTuple):
    """The states of B simulated users; a step changes the arrays in place."""

    user: Ints  # (B,) rows of the world
    satisfaction: Doubles  # (B,) m
    latest: Ints  # (B, bored_within) topics of the latest watched items, newest last; -1: none
    bored: Ints  # (B, T) watched items until the topic interests again; 0: it does
    shown: Bools  # (B, I) items recommended before
    steps: Ints  # (B,) recommendations so far

    def of(self, places: Ints) -> "UserStates":
        """A copy of the states of these users, by place, (N,)."""
        return UserStates(*(array[places] for array in self))  # type: ignore[arg-type]

    def put(self, places: Ints, states: "UserStates") -> None:
        """Replace the states of these users, (N,)."""
        for array, values in zip(self, states, strict=True):
            array[places] = values


class Reactions(NamedTuple):
    """What B users did: watched (B,) bool, stars (B,) with 0 where nothing was watched, left (B,) bool."""

    watched: Bools
    stars: Doubles
    left: Bools


class SimulatedUsers:
    """Users of a world with these mechanics, who rate and choose like this."""

    def __init__(
        self, world: World, mechanics: Mechanics, ratings: Ratings = RATINGS, choices: Choices = CHOICES
    ) -> None:
        self.world, self.mechanics, self.ratings, self.choices = world, mechanics, ratings, choices

    def with_mechanics(self, mechanics: Mechanics) -> "SimulatedUsers":
        """The same users with other mechanics."""
        return SimulatedUsers(self.world, mechanics, self.ratings, self.choices)

    def start(self, users: Ints) -> UserStates:
        """Users (B,) who have seen nothing."""
        count, mechanics = len(users), self.mechanics
        return UserStates(
            np.asarray(users, dtype=np.int64),
            np.zeros(count),
            np.full((count, mechanics.bored_within), -1),
            np.zeros((count, self.world.topic_count), dtype=np.int64),
            np.zeros((count, len(self.world.items)), dtype=bool),
            np.zeros(count, dtype=np.int64),
        )

    def experience(self, states: UserStates, items: Ints | None = None) -> Doubles:
        """Liking without satisfaction of items (B, C), or of all items (B, I)."""
        world, mechanics = self.world, self.mechanics
        topics = np.broadcast_to(world.topics, states.shown.shape) if items is None else world.topics[items]
        liking = world.affinity(states.user, items)
        liking += mechanics.appeal * (world.appeal if items is None else world.appeal[items])
        liking -= mechanics.boredom * bores(states.bored, topics)
        if mechanics.satiation > 0:
            liking -= mechanics.satiation * (states.latest[:, None, :] == topics[:, :, None]).mean(2)
        return liking

    def liking(self, states: UserStates, items: Ints | None = None) -> Doubles:
        """Liking l of items (B, C), or of all items (B, I)."""
        return self.experience(states, items) + self.mechanics.satisfaction * states.satisfaction[:, None]

    def chance_to_watch(self, liking: Doubles) -> Doubles:
        """P(watch) of a liking, any shape."""
        return 1 / (1 + np.exp(-self.mechanics.acceptance - self.mechanics.acceptance_slope * liking))

    def expected_stars(self, states: UserStates, liking: Doubles) -> Doubles:
        """The mean rating of items if watched, by their liking (B, C): (B, C)."""
        return self.ratings.mean(liking, self.world.leniency[states.user, None])

    def react(self, states: UserStates, items: Ints, rng: np.random.Generator) -> Reactions:
        """Recommend one item to each user: draw the reactions and change the states.

        An item shown before is refused. Draws the same count of numbers at every call, so that runs stay comparable.

        Args:
            states: of B users.
            items: (B,).
            rng: draws watching, rating noise and leaving.
        """
        rows, mechanics = np.arange(len(items)), self.mechanics
        experience = self.experience(states, items[:, None])[:, 0]
        liking = experience + mechanics.satisfaction * states.satisfaction
        watched = (rng.random(len(items)) < self.chance_to_watch(liking)) & ~states.shown[rows, items]
        stars = np.where(watched, self.ratings.drawn(liking, self.world.leniency[states.user], rng), 0.0)
        self.change(states, items, experience, watched)
        left = rng.random(len(items)) < self.chance_to_leave(states.satisfaction)
        return Reactions(watched, stars, left)

    def chance_to_leave(self, satisfaction: Doubles) -> Doubles:
        """P(leave) of a satisfaction, any shape."""
        return np.minimum(1.0, self.mechanics.exit_rate * np.exp(-self.mechanics.exit_slope * satisfaction))

    def next_satisfaction(self, satisfaction: Doubles, experience: Doubles, appeal: Doubles, watched: Bools) -> Doubles:
        """The satisfaction m after an item; arguments and result of one shape."""
        mechanics = self.mechanics
        felt = np.where(watched, experience, -mechanics.refusal)
        kept = mechanics.memory * satisfaction + (1 - mechanics.memory) * felt
        return kept - mechanics.after_effect * np.where(watched, appeal, 0.0)

    def change(self, states: UserStates, items: Ints, experience: Doubles, watched: Bools) -> None:
        """Change the states by one item per user, whose `experience` (B,) is known; `watched` (B,) says whether they did."""
        rows = np.arange(len(items))
        states.shown[rows, items] = True
        states.steps[:] += 1
        states.satisfaction[:] = self.next_satisfaction(
            states.satisfaction, experience, self.world.appeal[items].astype(np.float64), watched
        )
        active = rows[watched]
        latest, bored = states.latest[active], states.bored[active]
        self.bore(latest, bored, self.world.topics[items[watched]])
        states.latest[active], states.bored[active] = latest, bored

    def bore(self, latest: Ints, bored: Ints, topics: Ints) -> None:
        """Change the latest topics (N, bored_within) and the boredom (N, T) of N users who watch items of these topics (N,)."""
        bored[:] = np.maximum(bored - 1, 0)
        latest[:, :-1] = latest[:, 1:]
        latest[:, -1] = topics
        often = (latest == topics[:, None]).sum(1) >= self.mechanics.bored_after
        bored[often, topics[often]] = self.mechanics.bored_for


def bores(bored: Ints, topics: Ints) -> Bools:
    """Whether topics (B, C) bore users with this boredom (B, T): (B, C)."""
    return np.asarray(np.take_along_axis(bored, topics, 1) > 0)
