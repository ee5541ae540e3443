"""Advantages with the chance to leave in the place of leaving: the same in expectation, with far less noise for PPO."""

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback

from models.environments.world import Floats
from models.online.vec_env import SimulatedVecEnv


class ExpectedExits(BaseCallback):
    """Replaces the advantages of each rollout by A_t = δ_t + γ λ c_t A_{t+1}, with δ_t = r_t + γ c_t V(s_{t+1}) - V(s_t).

    c_t is the chance that the user stays after step t, `env.stays`. A user who leaves takes the value of the rest of an episode
    away by chance, which is most of the noise in returns. Where an episode ends, by leaving or at the horizon, V is that of its
    last observation. Generalised advantage estimation is by Schulman et al. 2016, arXiv:1506.02438.
    """

    model: PPO

    def __init__(self, env: SimulatedVecEnv) -> None:
        super().__init__()
        self.env, self.stays = env, list[Floats]()

    def _on_rollout_start(self) -> None:
        self.stays = []

    def _on_step(self) -> bool:
        """Add γ c V of the last observation to the reward of each step that ends an episode, before it is stored."""
        infos, rewards, done = (self.locals[name] for name in ("infos", "rewards", "dones"))
        self.stays.append(self.env.stays.copy())
        if len(places := np.flatnonzero(done)):
            last = torch.from_numpy(np.stack([infos[place]["terminal_observation"] for place in places]))
            with torch.no_grad():
                values = self.model.policy.predict_values(last).numpy()[:, 0]
            rewards[places] += self.model.gamma * self.env.stays[places] * values
            for place in places:
                infos[place]["TimeLimit.truncated"] = False  # else Stable-Baselines3 would add V once more
        return True

    def _on_rollout_end(self) -> None:
        buffer, last = self.locals["rollout_buffer"], self.locals["values"]
        assert isinstance(buffer, RolloutBuffer)  # noqa: S101
        following = np.concatenate((buffer.values[1:], last.numpy().reshape(1, -1)))
        ends = np.concatenate((buffer.episode_starts[1:], np.asarray(self.locals["dones"])[None]))
        kept = buffer.gamma * np.stack(self.stays) * (1 - ends)
        advantages(buffer.rewards + kept * following - buffer.values, buffer.gae_lambda * kept, buffer.advantages)
        buffer.returns = buffer.advantages + buffer.values


def advantages(errors: Floats, weights: Floats, out: Floats) -> None:
    """A_t = δ_t + w_t A_{t+1}, all (T, B): errors δ, weights w, and A, which is written to `out`."""
    following = np.zeros_like(errors[0])
    for step in reversed(range(len(errors))):
        out[step] = following = errors[step] + weights[step] * following
