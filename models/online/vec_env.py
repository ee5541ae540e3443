"""The environment as Stable-Baselines3 steps it: many episodes side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from models.environments.controls import immediate_reward
from models.environments.marquee import Problem
from models.environments.world import Floats
from models.online.true_states import true_state_dim, true_states


class SimulatedVecEnv(VecEnv):
    """Episodes of a problem; a finished one begins anew at once, with another user.

    Observations are multiplied by `scale`, (S,), so that embeddings and rewards count alike, about 1 each: coordinates of
    embeddings are small, and a network would hardly see them at first. Where actions are items, the observation is followed
    by I numbers: 1 for an item that was shown before, which must not be chosen again, else 0, and with `expected` by the P
    numbers of `true_states`. Rewards are in units of the largest one.
    """

    def __init__(self, problem: Problem, num_envs: int, seed: int, *, expected: bool = False) -> None:
        """Make `num_envs` environments.

        Args:
            problem: users and items.
            num_envs: episodes side by side.
            seed: decides about users and reactions.
            expected: whether rewards are the mean reward of an item in the user's state, P(watch) times that of its rating,
                `stays`, (B,), is the chance that the user stays, and observations end with the user's true state; needs a
                problem whose actions are items, with `SimulatedUsers`.
        """
        self.expected = expected
        self.problem, self.rng = problem, np.random.default_rng(seed)
        view, space = problem.view, problem.observation_space
        self.largest_reward = max(map(abs, problem.reward_bounds))
        self.scale = np.full(view.observation_dim, 1 / self.largest_reward, dtype=np.float32)
        self.scale[: -view.frame] = 1 / np.sqrt(np.square(view.embedding).mean())
        space = spaces.Box(space.low * self.scale, space.high * self.scale, dtype=np.float32)
        if problem.actions == "item":
            shown = np.ones(len(problem.view.embedding), dtype=np.float32)
            known = np.full(true_state_dim(problem.users) if expected else 0, np.inf, dtype=np.float32)
            low, high = (
                np.concatenate(parts) for parts in ((space.low, 0 * shown, -known), (space.high, shown, known))
            )
            space = spaces.Box(low, high, dtype=np.float32)
        self.render_mode = None
        super().__init__(num_envs, space, problem.action_space)

    def reset(self) -> Floats:
        """Begin all episodes."""
        self.episodes = self.problem.episodes(self.problem.some_users(self.num_envs, self.rng), self.rng)
        return self._observations()

    def step_async(self, actions: Any) -> None:
        """Keep the actions for `step_wait`."""
        self.actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Recommend an item in each episode; `infos` hold the last observation of an episode that ended."""
        items = self.problem.chosen(self.episodes, self.actions)
        means = immediate_reward(self.episodes, self.episodes.states, items[:, None])[:, 0] if self.expected else None
        step = self.episodes.step(items)
        rewards = step.rewards if means is None else means
        if self.expected:
            left = self.episodes.users.chance_to_leave(self.episodes.states.satisfaction)
            self.stays = (1 - left).astype(np.float32)
        done = np.asarray(step.terminated | step.truncated)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if len(ended := np.flatnonzero(done)):
            last = self._observations()
            for place in ended:
                infos[place] = {
                    "terminal_observation": last[place],
                    "TimeLimit.truncated": bool(step.truncated[place]),
                }
            self.episodes.restart(self.problem.some_users(len(ended), self.rng), ended)
        return self._observations(), (rewards / self.largest_reward).astype(np.float32), done, infos

    def _observations(self) -> Floats:
        seen = self.episodes.observations() * self.scale
        if self.problem.actions == "embedding":
            return seen
        states = self.episodes.states
        known = [true_states(self.problem.users, states)] if self.expected else []
        return np.concatenate((seen, states.shown.astype(np.float32), *known), axis=1)

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute, which all environments share."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: the environments are one object."""
        raise NotImplementedError(f"{attr_name}: expected no change; the environments are one object.")

    def env_method(self, method_name: str, *_: Any, indices: VecEnvIndices = None, **__: Any) -> list[Any]:
        """Refuse: the environments are one object."""
        raise NotImplementedError(f"{method_name}: expected no call; the environments are one object.")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """No environment is wrapped."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[Any]:
        """No environment has a picture."""
        return [None] * self.num_envs
