"""What every learner is, and how one is made by name."""

from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from models.batch import Batch
from models.learners.ddpg import DDPG, DDPGConfig
from models.learners.td3 import TD3, TD3Config
from models.networks import Actor

LearnerName = Literal["ddpg", "td3"]
LearnerConfig = DDPGConfig | TD3Config


class Learner(Protocol):
    """Learns a policy from batches of logged transitions; metrics stay on the device until someone asks."""

    actor: Actor

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One gradient step; returns 0-d tensors by name."""
        ...

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The same losses without learning, for validation."""
        ...

    def act(self, observation: Tensor) -> Tensor:
        """π(s), (B, D), without noise or gradient."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that a later `update` depends on, as tensors and plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        ...


def make_learner(
    config: LearnerConfig,
    observation_dim: int,
    action_dim: int,
    max_action: float,
    device: torch.device | str,
    seed: int,
) -> Learner:
    """The learner that `config` belongs to; equal seeds start equal on a device."""
    learner: type[DDPG] | type[TD3] = TD3 if isinstance(config, TD3Config) else DDPG
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return learner(config, observation_dim, action_dim, max_action, torch.device(device), seed)  # type: ignore[arg-type]
