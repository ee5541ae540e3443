"""What every learner is, and how one is made by name."""

from typing import Annotated, Any, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from models.learners.actor import ActorLearner
from models.learners.ddpg import DDPG, DDPGConfig
from models.learners.policy_learning import PolicyLearning, PolicyLearningConfig
from models.learners.ranking_config import Gru4RecConfig, RankingConfig, SasRecConfig
from models.learners.reward_actor_critic import RewardActorCritic, RewardActorCriticConfig
from models.learners.td3 import TD3, TD3Config
from models.learners.td3_bc import TD3BC, TD3BCConfig
from models.learners.td_actor_critic import TDActorCritic, TDActorCriticConfig
from models.optimisers import OptimiserName
from models.space import Space

LearnerName = Literal[
    "policy_learning", "reward_actor_critic", "td_actor_critic", "ddpg", "td3", "td3_bc", "ranking", "gru4rec", "sasrec"
]
LadderConfig = Annotated[
    PolicyLearningConfig | RewardActorCriticConfig | TDActorCriticConfig | DDPGConfig | TD3Config | TD3BCConfig,
    Field(discriminator="name"),
]
LearnerConfig = Annotated[
    PolicyLearningConfig
    | RewardActorCriticConfig
    | TDActorCriticConfig
    | DDPGConfig
    | TD3Config
    | TD3BCConfig
    | RankingConfig
    | Gru4RecConfig
    | SasRecConfig,
    Field(discriminator="name"),
]
SEQUENTIAL = ("gru4rec", "sasrec")  # baselines that are trained as learners are
LADDER: dict[str, type[ActorLearner]] = {
    "policy_learning": PolicyLearning,
    "reward_actor_critic": RewardActorCritic,
    "td_actor_critic": TDActorCritic,
    "ddpg": DDPG,
    "td3": TD3,
    "td3_bc": TD3BC,
}


class Learner(Protocol):
    """Learns a policy from batches of logged data; metrics stay on the device until someone asks.

    A batch is what the learner learns from, `models.batch.Batch` for those of the article's ladder.
    """

    @property
    def acting(self) -> nn.Module:
        """The part that acts: it is judged, kept and published."""
        ...

    def update(self, batch: Any) -> dict[str, Tensor]:
        """One gradient step; returns 0-d tensors by name."""
        ...

    def losses(self, batch: Any) -> dict[str, Tensor]:
        """The same losses without learning, for validation."""
        ...

    def restart(self, optimiser: OptimiserName) -> None:
        """Go on with fresh optimisers of that name and the same learning rates."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that a later `update` depends on, as tensors and plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        ...


def make_learner(config: LadderConfig, space: Space, device: torch.device | str, seed: int) -> ActorLearner:
    """The learner of the article's ladder that `config` belongs to; equal seeds start equal on a device."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LADDER[config.name](config, space, torch.device(device), seed)
