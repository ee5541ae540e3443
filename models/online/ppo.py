"""PPO over items: Stable-Baselines3's algorithm around an actor of this project."""

import math
from typing import Any

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from models.nearest import NearestItems
from models.networks import Actor, layers_of
from models.online.params import OnlineParams


class ItemNetworks(nn.Module):
    """The logits of all items, z cos(π(s), e_i), and the hidden layers of V(s).

    Items that were shown before have a logit of -∞. The item with the highest logit is the one that a `Policy` with this
    actor and the similarity cosine ranks first. Observations (B, S + I + P) are those of `SimulatedVecEnv`. V is that of the
    user's true state, (B, P), and without it that of what the actor sees, (B, S).
    """

    def __init__(self, actor: Actor, embedding: Tensor, inverse_temperature: float, known: int) -> None:
        """`known`: P; 0: the true state is not observed."""
        super().__init__()
        self.actor = actor
        self.nearest = NearestItems(embedding, "cosine")
        self.inverse_temperature = inverse_temperature
        self.known = known
        self.hidden = layers_of(known or actor.observation_dim, actor.hidden_dim, 1, None)[:-1]
        self.latent_dim_pi, self.latent_dim_vf = len(embedding), actor.hidden_dim  # as Stable-Baselines3 names them

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, I) and hidden layers (B, H)."""
        return self.forward_actor(observation), self.forward_critic(observation)

    def forward_actor(self, observation: Tensor) -> Tensor:
        """Logits, (B, I)."""
        state, shown, _ = observation.split((self.actor.observation_dim, self.latent_dim_pi, self.known), 1)
        scores = self.inverse_temperature * self.nearest.scores(self.actor(state))
        return scores.masked_fill(shown > 0, -torch.inf)

    def forward_critic(self, observation: Tensor) -> Tensor:
        """The last hidden layer of V, (B, H)."""
        seen = observation[:, -self.known :] if self.known else observation[:, : self.actor.observation_dim]
        hidden: Tensor = self.hidden(seen)
        return hidden


class ItemPolicy(ActorCriticPolicy):
    """Stable-Baselines3's policy with these networks in the place of its own."""

    def __init__(self, *args: Any, networks: tuple[ItemNetworks], **kwargs: Any) -> None:
        """`networks`: a tuple of one, as no module may be assigned before torch's own `__init__`."""
        self.given = networks
        super().__init__(*args, **kwargs)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = self.given[0]  # type: ignore[assignment]

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        self.action_net = nn.Identity()  # the extractor's output is the logits
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]


class Sharpen(BaseCallback):
    """Raises z geometrically from its first value to its last one, so that the policy ends near its own best items.

    The stored policy recommends the best item, so the states that it meets must be learnt from too.
    """

    def __init__(self, networks: ItemNetworks, first: float, last: float, steps: int) -> None:
        super().__init__()
        self.networks, self.first, self.last, self.steps = networks, first, last, steps

    def _on_rollout_start(self) -> None:
        share = min(self.num_timesteps / self.steps, 1.0)
        self.networks.inverse_temperature = self.first * (self.last / self.first) ** share

    def _on_step(self) -> bool:
        return True


def make_ppo(env: VecEnv, actor: Actor, embedding: Tensor, params: OnlineParams) -> tuple[PPO, Sharpen]:
    """PPO that trains `actor`, whose weights it shares, to choose among the items (I, D), and a callback of it."""
    settings = params.ppo.model_dump(exclude={"inverse_temperature", "last_inverse_temperature"})
    first, last = params.ppo.inverse_temperature, params.ppo.last_inverse_temperature
    known = math.prod(env.observation_space.shape or ()) - actor.observation_dim - len(embedding)
    networks = ItemNetworks(actor, embedding, first, known)
    model = PPO(
        ItemPolicy,
        env,
        gamma=params.discount,
        seed=params.seed,
        device="cpu",
        policy_kwargs={"networks": (networks,), "ortho_init": False},
        **settings,
    )
    return model, Sharpen(networks, first, last, params.steps)
