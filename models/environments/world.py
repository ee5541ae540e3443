"""The users and items of a simulation: tastes, contents, topics, quality, appeal and popularity."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FACTORS = 8  # K of a drawn world; each has a topic at either pole
TASTE, QUALITY = 1.6, 0.4  # how much the cosine of taste and content, and an item's quality, count in affinity
TOPICAL = 0.8  # correlation of an item's appeal with its topic's
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


class World(NamedTuple):
    """U users and I items in K latent factors, and T topics."""

    users: Floats  # (U, K) tastes; of length 1 in a drawn world
    items: Floats  # (I, K) contents; of length 1 in a drawn world
    quality: Floats  # (I,) what everybody likes more; N(0, 1) in a drawn world
    appeal: Floats  # (I,) what everybody likes at once and regrets later, of mean 0 and variance 1
    topics: Ints  # (I,) 0 … T - 1
    popularity: Floats  # (I,) log weight of an item among choices; -∞: nobody chooses it
    leniency: Floats  # (U,) by how much a user's ratings are above others'

    @property
    def topic_count(self) -> int:
        """T."""
        return int(self.topics.max()) + 1

    def affinity(self, users: Ints, items: Ints | None = None) -> Doubles:
        """How much users like items apart from appeal, boredom and satisfaction.

        Args:
            users: (B,) rows.
            items: (B, C) rows; none: all items.

        Returns: (B, C), or (B, I) of all items.
        """
        tastes = TASTE * self.users[users].astype(np.float64)
        if items is None:
            return tastes @ self.items.T.astype(np.float64) + QUALITY * self.quality
        return np.asarray(np.einsum("bk,bck->bc", tastes, self.items[items]) + QUALITY * self.quality[items])

    def part(self, users: Ints, items: Ints) -> "World":
        """The part of the world with these users and items, in this order."""
        of_items = {name: getattr(self, name)[items] for name in ("items", "quality", "appeal", "topics", "popularity")}
        return self._replace(users=self.users[users], leniency=self.leniency[users], **of_items)


def draw_world(rng: np.random.Generator, users: int, items: int) -> World:
    """Draw tastes and contents in clusters, and an appeal that mostly depends on the topic, so that content shows it.

    The topic of an item is the strongest pole of its factors, 2 K in total. One item in a hundred is never chosen.
    """

    def unit(rows: Doubles) -> Floats:
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    themes = rng.normal(size=(24, FACTORS)) ** 3
    contents = unit(unit(themes[rng.integers(24, size=items)]) + rng.normal(0, 0.15, (items, FACTORS)))
    groups = rng.normal(size=(12, FACTORS)) ** 3
    tastes = unit(unit(groups[rng.integers(12, size=users)]) + rng.normal(0, 0.15, (users, FACTORS)))
    quality = rng.normal(size=items)
    popularity = -0.6 * np.log(rng.permutation(items) + 3.0)
    popularity[rng.permutation(items)[: max(1, items // 100)]] = -np.inf
    topics = topics_of(contents)
    appeal = appeal_of_topics(topics, rng, 2 * FACTORS)
    return World(
        tastes,
        contents,
        quality.astype(np.float32),
        appeal.astype(np.float32),
        topics,
        popularity.astype(np.float32),
        rng.normal(0, 0.35, users).astype(np.float32),
    )


def topics_of(contents: Floats) -> Ints:
    """The strongest pole of each content (I, K): 2 k where factor k is positive, 2 k + 1 where it is negative, (I,)."""
    strongest = np.abs(contents).argmax(1)
    return np.asarray(2 * strongest + (np.take_along_axis(contents, strongest[:, None], 1)[:, 0] < 0))


def appeal_of_topics(topics: Ints, rng: np.random.Generator, count: int) -> Doubles:
    """Draw an appeal of mean 0 and variance 1 that mostly depends on the topic: (I,) of topics (I,), 0 … count - 1."""
    drawn = TOPICAL * rng.normal(size=count)[topics] + (1 - TOPICAL**2) ** 0.5 * rng.normal(size=len(topics))
    return np.asarray((drawn - drawn.mean()) / drawn.std())
