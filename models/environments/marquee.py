"""`Marquee-v0`: recommending to simulated users, in Gymnasium's interfaces for one and for many episodes."""

from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space
from pydantic import BaseModel, ConfigDict, Field

from models.environments.episodes import DatasetView, Episodes
from models.environments.mechanics import Mechanics
from models.environments.users import SimulatedUsers
from models.environments.world import Floats, Ints, World, draw_world

ActionKind = Literal["embedding", "item"]


class MarqueeParams(BaseModel):
    """A drawn world and what an action is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: int = Field(600, ge=1, le=1_000_000, description="Number of users.")
    items: int = Field(900, ge=20, le=1_000_000, description="Number of items.")
    world_seed: int = Field(7, ge=0, description="Seed of the users and items.")
    frame: int = Field(10, ge=1, le=100, description="F, events in an observation.")
    actions: ActionKind = Field(
        "embedding",
        description="An action is a point among the item embeddings, whose nearest item not shown before is recommended "
        "(Dulac-Arnold et al. 2015), or the index of an item.",
    )
    mechanics: Mechanics = Field(Mechanics(), description="How users react.")


class Problem:
    """What both environments share: the users, how policies see them, the spaces."""

    def __init__(self, users: SimulatedUsers, view: DatasetView, actions: ActionKind, rows: Ints | None = None) -> None:
        """`rows`: of the users of the world that may be drawn, (N,); None: all."""
        self.users, self.view, self.actions = users, view, actions
        self.rows = np.arange(len(users.world.users)) if rows is None else rows
        worst, best = view.rewards(np.array([users.ratings.lowest, users.ratings.highest]))
        self.reward_bounds = float(worst), float(best)
        self.make_spaces()

    def make_spaces(self) -> None:
        """Make the spaces of observations and actions."""
        view, actions = self.view, self.actions
        reach = float(np.abs(view.embedding).max())
        limit = np.float32(max(reach, *map(abs, self.reward_bounds)))
        self.observation_space = spaces.Box(-limit, limit, (view.observation_dim,), np.float32)
        self.action_space: spaces.Space[Any] = (
            spaces.Discrete(len(view.embedding))
            if actions == "item"
            else spaces.Box(-np.float32(reach), np.float32(reach), (view.embedding.shape[1],), np.float32)
        )

    @classmethod
    def drawn(cls, params: MarqueeParams) -> "Problem":
        """The problem of these parameters, with the items' true features as embeddings."""
        world = draw_world(np.random.default_rng(params.world_seed), params.users, params.items)
        view = DatasetView(true_features(world), params.frame)
        return cls(SimulatedUsers(world, params.mechanics), view, params.actions)

    def acting_by(self, actions: ActionKind) -> "Problem":
        """The same with another kind of action."""
        return Problem(self.users, self.view, actions, self.rows)

    def episodes(self, users: Ints, rng: np.random.Generator) -> Episodes:
        """Begin an episode with each of the users at these rows of the world, (B,)."""
        return Episodes(self.users, self.view, users, rng)

    def some_users(self, count: int, rng: np.random.Generator) -> Ints:
        """Random rows of the world, (count,)."""
        return self.rows[rng.integers(len(self.rows), size=count)]

    def chosen(self, episodes: Episodes, actions: Any) -> Ints:
        """The items of actions (B,) or (B, D): (B,)."""
        return np.asarray(actions, dtype=np.int64) if self.actions == "item" else episodes.nearest(np.asarray(actions))


class MarqueeEnv(gymnasium.Env[Floats, Any]):
    """One episode: a user, a recommendation at each step, a reward as in the dataset, the end when the user leaves."""

    metadata = {"render_modes": []}  # noqa: RUF012  # as Gymnasium declares it

    def __init__(self, params: MarqueeParams | None = None, problem: Problem | None = None) -> None:
        """Make the environment of `params`, or of a `problem` made elsewhere, such as a dataset's."""
        self.problem = problem or Problem.drawn(params or MarqueeParams())
        self.observation_space, self.action_space = self.problem.observation_space, self.problem.action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode with a random user, or with `options["user"]`, a row of the world."""
        super().reset(seed=seed)
        users = self.problem.some_users(1, self.np_random)
        if options and "user" in options:
            users = np.array([options["user"]])
        self.episodes = self.problem.episodes(users, self.np_random)
        return self.episodes.observations()[0], self._info()

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Recommend the item of `action`."""
        step = self.episodes.step(self.problem.chosen(self.episodes, np.asarray(action)[None]))
        return (
            self.episodes.observations()[0],
            float(step.rewards[0]),
            bool(step.terminated[0]),
            bool(step.truncated[0]),
            self._info(),
        )

    def _info(self) -> dict[str, Any]:
        known = self.episodes.items[0] >= 0
        return {
            "items": self.episodes.items[0][known],  # the history, oldest first
            "rewards": self.episodes.rewards[0][known],
            "shown": self.episodes.states.shown[0].copy(),
        }


class MarqueeVectorEnv(VectorEnv[Floats, Any, Any]):
    """`num_envs` episodes side by side; a finished one begins anew at the next step, as Gymnasium 1.0 has it."""

    def __init__(self, num_envs: int = 1, params: MarqueeParams | None = None, problem: Problem | None = None) -> None:
        """Make the environments of `params`, or of a `problem` made elsewhere."""
        self.problem = problem or Problem.drawn(params or MarqueeParams())
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = (
            self.problem.observation_space,
            self.problem.action_space,
        )
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.finished = np.zeros(num_envs, dtype=bool)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Begin all episodes, with random users."""
        super().reset(seed=seed)
        users = self.problem.some_users(self.num_envs, self.np_random)
        self.episodes = self.problem.episodes(users, self.np_random)
        self.finished[:] = False
        return self.episodes.observations(), {}

    def step(self, actions: Any) -> tuple[Floats, Any, Any, Any, dict[str, Any]]:
        """Recommend an item in each episode; where one was finished, begin another and ignore the action."""
        step = self.episodes.step(self.problem.chosen(self.episodes, actions))
        rewards, terminated, truncated = (np.where(self.finished, 0, part) for part in step)
        if len(places := np.flatnonzero(self.finished)):
            self.episodes.restart(self.problem.some_users(len(places), self.np_random), places)
        self.finished = terminated.astype(bool) | truncated.astype(bool)
        return self.episodes.observations(), rewards, terminated.astype(bool), truncated.astype(bool), {}


def true_features(world: World) -> Floats:
    """Contents, quality and appeal of the items, (I, K + 2): embeddings that hide nothing."""
    return np.concatenate((world.items, 0.4 * world.quality[:, None], 0.4 * world.appeal[:, None]), axis=1)
