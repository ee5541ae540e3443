"""The return of this project's methods in SARDINE, an environment by others (Deffayet et al. 2023, arXiv:2311.16586).

    python benchmarks/in_sardine.py [--users 200] [--log 300] [--updates 3000] [--steps 200000]

SARDINE's setting SingleItem-BoredInf-v0: one item of 1,000 at a time, 100 steps, a reward of 1 per click; 5 clicks on one topic
within 5 steps bore the user with everything for 5 more. An episode begins with ten random items, as many as an observation
has; the return is the number of clicks on the 90 that follow. No item is shown twice, so that policies which rank unseen items
act unchanged. IQL learns from a log in which every second item is random and the others are greedy on the true relevance;
PPO learns in SARDINE itself, with other users than those of the returns.
"""

import argparse
from collections.abc import Callable

import gymnasium
import numpy as np
import sardine  # registers the environments
import torch
from sardine.simulator import Sardine

from evaluation.protocols.statistics import mean_interval
from models.batch import Batch
from models.environments.controls import Chooser, best, of_policy, random_items
from models.environments.episodes import DatasetView, Episodes, EpisodeStep
from models.environments.marquee import ActionKind, Problem
from models.environments.users import UserStates
from models.environments.world import Doubles, Ints
from models.learners.iql import IQL, IQLConfig
from models.online.params import OnlineParams
from models.online.training import train_online
from models.policy import Policy
from models.space import Space

NAME, FRAME = "sardine/SingleItem-BoredInf-v0", 10
CLICK = {"scale": 1 / 4.5, "offset": -0.5 / 4.5}  # 5 stars stand for a click, ½ for none: rewards of 1 and 0


def new_environment() -> Sardine:
    """One environment of SARDINE."""
    made = gymnasium.make(NAME).unwrapped
    assert isinstance(made, Sardine), sardine.__version__  # noqa: S101
    return made


class SardineEpisodes(Episodes):
    """Episodes of SARDINE side by side, as the choosers of this project see episodes; an unclicked item has a reward of 0."""

    def __init__(self, view: DatasetView, seeds: Ints, rng: np.random.Generator) -> None:
        """Begin with users of these seeds, (B,); `rng` draws the first items."""
        self.view, self.rng = view, rng
        self.environments = [new_environment() for _ in seeds]
        length, count = FRAME + self.environments[0].H, len(seeds)
        self.items, self.rewards = np.full((count, length), -1), np.zeros((count, length), dtype=np.float32)
        nothing = np.zeros(count, dtype=np.int64)
        shown = np.zeros((count, len(view.embedding)), dtype=bool)
        self.states = UserStates(seeds, np.zeros(count), nothing[:, None], nothing[:, None], shown, nothing)
        self.active = np.ones(count, dtype=bool)
        self._begin(np.arange(count), seeds)

    def _begin(self, places: Ints, seeds: Ints) -> None:
        self.items[places], self.rewards[places], self.states.shown[places], self.active[places] = -1, 0, False, True
        for place, seed in zip(places, seeds, strict=True):
            seen, _ = self.environments[place].reset(seed=int(seed))
            self._remember_item(place, int(seen["slate"][0]), float(seen["clicks"][0]))
        for _ in range(FRAME - 1):
            chosen = best(self, self.rng.random(self.states.shown.shape))
            for place in places:
                self._show(place, int(chosen[place]))

    def _show(self, place: int, item: int) -> tuple[float, bool]:
        _, reward, ended, _, _ = self.environments[place].step(np.array([item]))
        self._remember_item(place, item, float(reward))
        return float(reward), bool(ended)

    def _remember_item(self, place: int, item: int, reward: float) -> None:
        for table, value in ((self.items, item), (self.rewards, reward)):
            table[place, :-1] = table[place, 1:]
            table[place, -1] = value
        self.states.shown[place, item] = True

    def step(self, items: Ints) -> EpisodeStep:
        """Recommend one item to each user, (B,)."""
        rewards, ended = zip(*(self._show(place, int(item)) for place, item in enumerate(items)), strict=True)
        self.active &= ~np.array(ended)
        return EpisodeStep(np.array(rewards), np.array(ended), np.zeros(len(items), dtype=bool))

    def restart(self, rows: Ints, places: Ints) -> None:
        """Begin new episodes with the users of the seeds `rows`, (N,), in the given places, (N,)."""
        self._begin(places, rows)


class SardineProblem(Problem):
    """SARDINE in the place of the simulated users of `Marquee-v0`; a row of the world is a seed."""

    def __init__(self, actions: ActionKind = "item") -> None:
        embedding = np.asarray(new_environment().item_embedd, dtype=np.float32)
        self.view, self.actions, self.reward_bounds = DatasetView(embedding, FRAME, **CLICK), actions, (0.0, 1.0)
        self.make_spaces()

    def acting_by(self, actions: ActionKind) -> "SardineProblem":
        """The same with another kind of action."""
        return SardineProblem(actions)

    def some_users(self, count: int, rng: np.random.Generator) -> Ints:
        """Random seeds, none of them one of those whose returns are measured, (count,)."""
        return rng.integers(1_000_000, 2**31, size=count)

    def episodes(self, users: Ints, rng: np.random.Generator) -> SardineEpisodes:
        """Begin an episode with each of the users of these seeds, (B,)."""
        return SardineEpisodes(self.view, users, rng)


def relevance(episodes: Episodes) -> Doubles:
    """SARDINE's own score of every item in the users' present states, (B, I)."""
    assert isinstance(episodes, SardineEpisodes)  # noqa: S101
    return np.asarray([one.item_embedd @ one.cur_user_embedd for one in episodes.environments], dtype=np.float64)


def greedy(episodes: Episodes) -> Ints:
    """The unseen item that is most relevant now."""
    return best(episodes, relevance(episodes))


def like_clicked(episodes: Episodes) -> Ints:
    """The unseen item that is most similar to those that the user clicked in this episode; it knows no more than a policy."""
    vectors = episodes.view.embedding
    clicked = (vectors[episodes.items] * episodes.rewards[:, :, None]).sum(1)
    return best(episodes, (clicked @ vectors.T).astype(np.float64))


def half_greedy(seed: int) -> Chooser:
    """The logging policy: a random item, or with a chance of one half the greedy one."""
    rng = np.random.default_rng(seed)

    def choose(episodes: Episodes) -> Ints:
        chance = rng.random(episodes.states.shown.shape)
        return np.where(rng.random(len(chance)) < 0.5, best(episodes, chance), greedy(episodes))

    return choose


def rolled_out(choose: Chooser, problem: SardineProblem, seeds: Ints) -> SardineEpisodes:
    """Whole episodes of a chooser with the users of these seeds, (B,): their items and rewards."""
    episodes = problem.episodes(seeds, np.random.default_rng(0))
    while episodes.active.any():
        episodes.step(choose(episodes))
    return episodes


def returns_of(choose: Chooser, problem: SardineProblem, seeds: Ints) -> Doubles:
    """Clicks after the first ten items, (B,)."""
    episodes = rolled_out(choose, problem, seeds)
    recommended = int((episodes.items[0] >= 0).sum()) - FRAME
    clicks: Doubles = episodes.rewards[:, -recommended:].sum(1).astype(np.float64)
    return clicks


def transitions_of(log: SardineEpisodes) -> Batch:
    """All transitions of whole episodes."""
    length = int((log.items[0] >= 0).sum())
    items, rewards = torch.from_numpy(log.items[:, -length:].copy()), torch.from_numpy(log.rewards[:, -length:].copy())
    vectors = torch.from_numpy(log.view.embedding)[items]
    windows = torch.stack(
        [
            torch.cat((vectors[:, at : at + FRAME].flatten(1), rewards[:, at : at + FRAME]), 1)
            for at in range(length - FRAME + 1)
        ],
        1,
    )
    terminal = torch.zeros(len(items), length - FRAME)
    terminal[:, -1] = 1
    parts = windows[:, :-1], vectors[:, FRAME:], rewards[:, FRAME:], windows[:, 1:], terminal
    return Batch(*(part.flatten(0, 1).float() for part in parts))


def learnt_offline(log: Batch, problem: SardineProblem, updates: int) -> Policy:
    """IQL's policy from a log, whose critics re-rank, as the profile `sample` has it."""
    embedding = torch.from_numpy(problem.view.embedding)
    space = Space.of(embedding, FRAME, (0.0, 1.0))
    torch.manual_seed(0)
    learner = IQL(IQLConfig(critic_candidates=200, discount=0.95), space, torch.device("cpu"), 0)
    rng = torch.Generator().manual_seed(0)
    for _ in range(updates):
        rows = torch.randint(len(log.reward), (256,), generator=rng)
        learner.update(Batch(*(part[rows] for part in log[:5])))
    return learner.recommender(embedding, "cosine")


def learnt_online(problem: SardineProblem, steps: int, measure: Callable[[Policy], float]) -> Policy:
    """PPO's policy, trained in SARDINE."""
    return train_online(
        problem, OnlineParams(steps=steps, envs=64, expected=False, validate_every=max(steps // 5, 1)), measure
    ).policy


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("users", 200), ("log", 300), ("updates", 3000), ("steps", 200_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    problem, users = SardineProblem(), np.arange(asked.users)
    logged = rolled_out(half_greedy(0), problem, 100_000 + np.arange(asked.log))
    clicks = np.bincount(logged.items[logged.rewards > 0], minlength=len(problem.view.embedding))
    validation = 200_000 + np.arange(50)
    choosers = {
        "random items": random_items(0),
        "most clicked items": lambda episodes: best(episodes, np.broadcast_to(clicks, episodes.states.shown.shape)),
        "similar to all clicked items": like_clicked,
        "logging policy": half_greedy(1),
        "greedy on the true relevance": greedy,
        "iql, from the log": of_policy(learnt_offline(transitions_of(logged), problem, asked.updates)),
        "ppo, in SARDINE": of_policy(
            learnt_online(
                problem, asked.steps, lambda policy: returns_of(of_policy(policy), problem, validation).mean()
            )
        ),
    }
    print(f"clicks on {NAME}, mean of {asked.users} users and 95 % interval")
    for name, choose in choosers.items():
        values = returns_of(choose, problem, users)
        mean, low, high = mean_interval(values, 0)
        print(f"{name:30} {mean:6.1f}  [{low:.1f}, {high:.1f}]")


if __name__ == "__main__":
    main()
