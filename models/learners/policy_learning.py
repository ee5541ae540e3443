"""Policy learning: do what users liked (the article's first method; reward-weighted regression, Peters & Schaal 2007)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from models.batch import Batch
from models.learners.actor import ActorLearner
from models.learners.config import ActorConfig


class PolicyLearningConfig(ActorConfig):
    """Hyper-parameters; sources in brackets."""

    name: Literal["policy_learning"] = "policy_learning"
    weighting: Literal["filter", "exponential"] = Field(
        "filter",
        description="filter: only actions of a good reward count [the article]; exponential: exp(r / temperature) "
        "[Peters & Schaal 2007, eq. 11].",
    )
    good_reward: float = Field(
        3.0, ge=-1e9, le=1e9, description="Of filter: the least good one; 3 is four of five stars [the article: liked]."
    )
    temperature: float = Field(2.0, gt=0, le=1e6, description="Of exponential, in rewards; large: all count alike.")


class PolicyLearning(ActorLearner):
    """No critic: regression of the logged actions, weighted by their rewards."""

    config: PolicyLearningConfig

    def weights(self, reward: Tensor) -> Tensor:
        """w, (B,), ≥ 0."""
        if self.config.weighting == "filter":
            return (reward >= self.config.good_reward).float()
        return torch.exp((reward - self.space.highest_reward) / self.config.temperature)

    def actor_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Σ w (π(s) - a)² / Σ w, averaged over coordinates; nothing is learnt from a batch without a good action."""
        pi = self.policy(batch.observation)
        error = (pi - batch.action).square().mean(1)
        w = self.weights(batch.reward)
        loss = (w * error).sum() / w.sum().clamp_min(1e-6)
        return loss + self.likeness(pi), {"imitation_error": error.mean(), "mean_weight": w.mean()}

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the actor.

        Raises:
            LearnerError: the batch holds a number that is not finite, or a reward beyond its bounds.
        """
        self.check(batch)
        self.steps += 1
        self.step_actor(batch)
        return self.actor_metrics
