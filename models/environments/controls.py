"""Choosers of items in a simulation: a policy under evaluation, and the controls that it is compared with.

A chooser maps `Episodes` to one item per user, (B,) int64. Those of active episodes were not shown before. All but `of_policy`,
`random_items` and `most_popular` know the simulated users, so they say how much a gain is worth, not what can be learnt from a log.
"""

from collections.abc import Callable

import numpy as np
import torch

from models.environments.episodes import Episodes
from models.environments.users import UserStates
from models.environments.world import Doubles, Ints
from models.histories import Histories, Scorer

Chooser = Callable[[Episodes], Ints]
CANDIDATES = 50  # items with the highest immediate reward that `look_ahead` considers


def of_policy(scorer: Scorer, device: str = "cpu") -> Chooser:
    """The item that a policy or a baseline on a torch device scores highest."""

    def choose(episodes: Episodes) -> Ints:
        places = np.flatnonzero(episodes.active)  # scoring takes most of the time, and the others have ended
        histories = (torch.from_numpy(table[places]).to(device) for table in (episodes.items, episodes.rewards))
        scores = scorer.scores(Histories(*histories)).double().cpu().numpy()
        chosen = np.zeros(len(episodes.items), dtype=np.int64)
        chosen[places] = np.where(episodes.states.shown[places], -np.inf, scores).argmax(1)
        return chosen

    return choose


def random_items(seed: int) -> Chooser:
    """A random item."""
    rng = np.random.default_rng(seed)
    return lambda episodes: best(episodes, rng.random(episodes.states.shown.shape))


def most_popular(episodes: Episodes) -> Ints:
    """The item that most users choose."""
    return best(episodes, np.broadcast_to(episodes.users.world.popularity, episodes.states.shown.shape))


def static_ranker(episodes: Episodes) -> Ints:
    """The item with the highest true liking of a user in the initial state: it knows tastes and appeal, but no state."""
    users = episodes.users
    return best(episodes, users.experience(users.start(episodes.states.user)))


def greedy(episodes: Episodes) -> Ints:
    """The item with the highest true immediate reward in the user's present state."""
    return best(episodes, immediate_reward(episodes, episodes.states))


def look_ahead(episodes: Episodes) -> Ints:
    """The item with the highest r(s, i) + P(stay) max_i' r(s', i'), one step ahead of `greedy`, if i is watched.

    Both items are among the `CANDIDATES` with the highest immediate reward.
    """
    users, states, everyone = episodes.users, episodes.states, np.arange(len(episodes.items))
    rewards = np.where(states.shown, -np.inf, immediate_reward(episodes, states))
    count = min(CANDIDATES, rewards.shape[1])
    chosen = np.argpartition(-rewards, count - 1, axis=1)[:, :count]
    value = np.take_along_axis(rewards, chosen, 1)
    for place in range(count):
        after = states.of(everyone)
        experience = users.experience(after, chosen[:, [place]])[:, 0]
        users.change(after, chosen[:, place], experience, np.ones(len(everyone), dtype=bool))
        left = np.take_along_axis(after.shown, chosen, 1)
        following = np.where(left, -np.inf, immediate_reward(episodes, after, chosen)).max(1)
        value[:, place] += (1 - users.chance_to_leave(after.satisfaction)) * following
    return np.take_along_axis(chosen, value.argmax(1)[:, None], 1)[:, 0]


def planned(price: float) -> Chooser:
    """The item with the highest true liking less `price` times its appeal: a simple plan against the after-effect."""

    def choose(episodes: Episodes) -> Ints:
        return best(episodes, episodes.users.liking(episodes.states) - price * episodes.users.world.appeal)

    return choose


def immediate_reward(episodes: Episodes, states: UserStates, items: Ints | None = None) -> Doubles:
    """P(watch) times the mean reward of watching items (B, C), or all items, in these states: (B, C) or (B, I)."""
    users = episodes.users
    liking = users.liking(states, items)
    return users.chance_to_watch(liking) * episodes.view.rewards(users.expected_stars(states, liking))


def best(episodes: Episodes, scores: Doubles) -> Ints:
    """The item not shown before with the highest score (B, I): (B,)."""
    return np.asarray(np.where(episodes.states.shown, -np.inf, scores).argmax(1))
