"""BCQ's policy as it is stored: generator, perturbation, critics, latent vectors."""

from typing import Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from models.batch_constrained import BestOfCandidates, Decoder, Perturbation
from models.nearest import Similarity
from models.networks import Critics
from models.policy import Policy, PolicyConfig
from models.stored_policy import format_of
from models.windows import make_encoder


class BatchConstrainedConfig(PolicyConfig):
    """All of BCQ's policy but its tensors."""

    format: Literal["marquee-batch-constrained-policy/2"] = "marquee-batch-constrained-policy/2"  # type: ignore[assignment]
    critics: int = Field(ge=1, le=64, description="Number of critics; the first chooses, and all re-rank.")
    latent_dim: int = Field(ge=1, le=8192, description="Z, width of a latent vector.")
    samples: int = Field(ge=1, le=1000, description="n, candidates among which the best is chosen.")
    perturbation: float = Field(ge=0, le=1, description="Φ, in units of max_action.")


class BatchConstrainedPolicy(Policy):
    """A policy whose action is the best of n candidates; it ranks items by nearness to that action, as any `Policy`."""

    stored = BatchConstrainedConfig

    def __init__(self, best: BestOfCandidates, embedding: Tensor, similarity: Similarity, candidates: int = 0) -> None:
        super().__init__(best, embedding, similarity, best.critics, candidates)
        self.best = best

    def config(self) -> dict[str, Any]:
        """All of this policy but its tensors, as JSON."""
        samples, latent_dim = self.best.decoder.latents.shape
        fields = super().config() | {
            "format": format_of(BatchConstrainedConfig),
            "critics": self.best.critics.count,
            "latent_dim": latent_dim,
            "samples": samples,
            "perturbation": self.best.perturbation.bound,
        }
        return BatchConstrainedConfig.model_validate(fields).model_dump(mode="json")

    def acting_parts(self) -> dict[str, nn.Module]:
        """The acting part, which has the critics."""
        return {"best": self.best}

    @classmethod
    def _untrained(cls, config: PolicyConfig, embedding: Tensor) -> Self:
        assert isinstance(config, BatchConstrainedConfig)  # noqa: S101
        sizes, limit = (config.observation_dim, config.action_dim, config.hidden_dim), config.max_action
        latents = torch.zeros(config.samples, config.latent_dim)
        encoders = [make_encoder(config.state, config.action_dim) for _ in range(3)]
        best = BestOfCandidates(
            Decoder(*sizes, limit, latents, "float32", encoders[0]),
            Perturbation(*sizes, limit, config.perturbation, "float32", encoders[1]),
            Critics(config.critics, *sizes, state_encoder=encoders[2]),
        )
        return cls(best, embedding, config.similarity, config.critic_candidates)
