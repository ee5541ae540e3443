"""Generative adversarial imitation learning: a discriminator's reward in front of the environment (Ho & Ermon 2016).

D(s, a) is the probability that a choice is one of the log's. PPO maximises -log(1 - D); D is trained on the policy's choices
beside the log's, in turn with the policy.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn
from torch import Tensor, nn
from torch.nn.functional import softplus

from models.environments.world import Floats
from models.networks import layers_of
from models.online.params import GAILParams
from models.online.vec_env import SimulatedVecEnv


class Expert(NamedTuple):
    """Choices of a log that are imitated: observations (N, S), and the embeddings of the chosen items (N, D)."""

    observations: Tensor
    actions: Tensor


class Discriminator(nn.Module):
    """The log odds of D(s, a), (B,): two hidden layers over observations (B, S) and actions (B, D)."""

    def __init__(self, observation_dim: int, action_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.layers = layers_of(observation_dim + action_dim, hidden_dim, 1, None)

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Log D - log (1 - D), (B,)."""
        odds: Tensor = self.layers(torch.cat((observation, action), 1)).squeeze(1)
        return odds

    def reward(self, observation: Tensor, action: Tensor) -> Tensor:
        """-log(1 - D), (B,)."""
        with torch.no_grad():
            return softplus(self(observation, action))

    def loss(self, expert: Expert, policy: Expert) -> Tensor:
        """-mean log D of the expert's choices - mean log(1 - D) of the policy's, 0-d; eq. 17 with D for 1 - D."""
        return softplus(-self(*expert)).mean() + softplus(self(*policy)).mean()


class DiscriminatorRewards(VecEnvWrapper):
    """The environment with the discriminator's rewards in the place of its own."""

    venv: SimulatedVecEnv

    def __init__(self, venv: SimulatedVecEnv, discriminator: Discriminator) -> None:
        super().__init__(venv)
        self.discriminator = discriminator
        self.embedding = torch.from_numpy(venv.problem.view.embedding)
        self.state_dim = venv.problem.view.observation_dim

    def reset(self) -> Floats:
        """Begin all episodes."""
        self.before = self.venv.reset()
        return self.before

    def step_async(self, actions: Any) -> None:
        """Keep the actions, whose rewards depend on the observation before them."""
        self.chosen = np.asarray(actions)
        super().step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """Recommend an item in each episode."""
        observations, _, done, infos = self.venv.step_wait()
        rewards = self.discriminator.reward(*self.pairs(self.before, self.chosen)).numpy()
        self.before = np.asarray(observations)
        return observations, rewards, done, infos

    def pairs(self, observations: Floats, items: Any) -> Expert:
        """States and embeddings of observations (B, S + I) and items (B,)."""
        states = torch.from_numpy(np.ascontiguousarray(observations[:, : self.state_dim]))
        return Expert(states, self.embedding[torch.from_numpy(np.asarray(items, dtype=np.int64))])


class TrainDiscriminator(BaseCallback):
    """Trains the discriminator on the choices of a rollout before the policy is updated with them."""

    def __init__(self, env: DiscriminatorRewards, expert: Expert, params: GAILParams, seed: int) -> None:
        super().__init__()
        self.env, self.expert, self.params = env, expert, params
        self.generator = torch.Generator().manual_seed(seed)
        self.optimiser = torch.optim.Adam(env.discriminator.parameters(), params.learning_rate)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        buffer = self.locals["rollout_buffer"]
        assert isinstance(buffer, RolloutBuffer)  # noqa: S101
        observations, items = (array.reshape(-1, array.shape[-1]) for array in (buffer.observations, buffer.actions))
        for _ in range(self.params.updates):
            rows = self._draw(len(items)).numpy()
            places = self._draw(len(self.expert.actions))
            expert = Expert(*(part[places] for part in self.expert))
            loss = self.env.discriminator.loss(expert, self.env.pairs(observations[rows], items[rows, 0]))
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        self.logger.record("train/discriminator_loss", float(loss.detach()))

    def _draw(self, count: int) -> Tensor:
        """Random rows among `count`, (batch_size,)."""
        return torch.randint(count, (self.params.batch_size,), generator=self.generator)
