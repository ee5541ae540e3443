"""REINFORCE on logged sequences, with off-policy correction and top-K correction (Chen et al. 2019)."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import nll_loss

from models.baselines.training import TrainingData
from models.batch import Sequences
from models.learners.config import SequenceConfig
from models.learners.entry import LearnerEntry
from models.learners.negatives import corrected
from models.learners.ranking_config import LearntTermsConfig
from models.learners.sequence_learner import SequenceLearner
from models.optimisers import Optimiser
from models.space import Space


class ReinforceConfig(SequenceConfig):
    """Hyper-parameters; sections of Chen et al. 2019 in brackets."""

    name: Literal["reinforce"] = "reinforce"
    policy: LearntTermsConfig = Field(LearntTermsConfig(), description="State and width.")
    behaviour_learning_rate: float = Field(5e-4, gt=0, le=0.1, description="Learning rate of the behaviour policy.")
    discount: float = Field(0.9, ge=0, lt=1, description="γ of the return.")
    top_k: int = Field(16, ge=1, le=1000, description="K, items that a list shows [§4.3]; 1: no top-K correction.")
    weight_cap: float = Field(math.exp(3), gt=0, le=1e6, description="c, the greatest importance weight π / β [§4.4].")


class BehaviourHead(nn.Module):
    """β(a | s), which estimates how the logged items were chosen: another softmax over the policy's state [§4.2]."""

    def __init__(self, counts: Tensor, width: int, dim: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, dim)
        self.vectors = nn.Parameter(torch.randn(len(counts), dim) * dim**-0.5)
        self.bias = nn.Parameter(torch.log1p(counts.float()))  # starts from the items' shares of the log

    def forward(self, states: Tensor, candidates: Tensor) -> Tensor:
        """Logits of C candidates: (N, H), (C,) → (N, C)."""
        logits: Tensor = self.head(states) @ self.vectors[candidates].T + self.bias[candidates]
        return logits


class Reinforce(SequenceLearner):
    """A softmax policy π(a | s) over items from a sequence's state, and a behaviour policy β(a | s) on the same state."""

    config: ReinforceConfig

    def make_heads(self, space: Space, data: TrainingData) -> None:
        """Make β. It has its own item vectors, because its gradient must not reach the policy's."""
        config = self.config
        self.behaviour = BehaviourHead(data.counts.cpu(), config.policy.width, data.embedding.shape[1]).to(self.device)
        self.optimisers["behaviour"] = Optimiser(
            config.item_optimiser, self.behaviour.parameters(), config.behaviour_learning_rate
        )
        self.mean_reward = float(data.rewards.mean())
        self.largest_return = max(map(abs, space.returns(config.discount)))

    def returns(self, batch: Sequences) -> Tensor:
        """The return R_l = Σ_{k ≥ l} γ^(k - l) r_k of each logged action, (B, L).

        A sequence that does not end its history is cut off. The rewards after the cut count as the mean reward r̄ of the
        training events, as an endless sum: γ^n r̄ / (1 - γ), n actions later. Without it an action's return would depend on
        its distance from the cut.
        """
        rewards, gamma = batch.rewards[:, 1:], self.config.discount
        later = torch.arange(rewards.shape[1], device=rewards.device)
        ahead = later.unsqueeze(1) - later  # ahead[k, l] = k - l
        discounts = torch.where(ahead >= 0, gamma ** ahead.clamp_min(0).to(rewards.dtype), 0.0)
        after = (1 - batch.terminal) * self.mean_reward / (1 - gamma)
        tail: Tensor = gamma ** (rewards.shape[1] - later).to(rewards.dtype) * after.unsqueeze(1)
        return rewards @ discounts + tail

    def weights(self, log_pi: Tensor, log_beta: Tensor) -> tuple[Tensor, Tensor]:
        """The corrections of logged actions (N,): the capped importance weight min(π / β, c), and λ_K = K (1 - π)^(K - 1).

        Chen et al. 2019, §4.3 and §4.4. Both are factors of the gradient, and none flows through them.
        """
        importance = torch.exp(log_pi - log_beta).clamp_max(self.config.weight_cap)
        top_k = self.config.top_k * (1 - log_pi.exp()) ** (self.config.top_k - 1)
        return importance.detach(), top_k.detach()

    def all_losses(self, batch: Sequences) -> tuple[list[Tensor], dict[str, Tensor]]:
        """The policy's loss, -mean min(π / β, c) λ_K R log π(a | s), and the behaviour's, -mean log β(a | s).

        Means are over logged actions with items that have training events; R is in units of the largest return.
        """
        rated, candidates, target, log_chance = self.draw(batch)
        states = self.policy.states(*batch.before)[rated]

        def log_probability(scores: Tensor) -> Tensor:
            return -nll_loss(corrected(scores, target, log_chance).log_softmax(1), target, reduction="none")

        log_pi = log_probability(self.policy.learnt_scores(self.policy.actions(states), candidates))
        log_beta = log_probability(self.behaviour(states.detach(), candidates))
        importance, top_k = self.weights(log_pi, log_beta)
        returns = self.returns(batch)[rated]
        count = max(len(target), 1)
        policy_loss = -(importance * top_k * returns / self.largest_return * log_pi).sum() / count
        behaviour_loss = -log_beta.sum() / count
        return [policy_loss, behaviour_loss], {
            "actor_loss": policy_loss,
            "behaviour_loss": behaviour_loss,
            "importance_weight": importance.sum() / count,
            "weights_capped": (importance >= self.config.weight_cap).float().sum() / count,
            "return_logged": returns.sum() / count,
        }

    def networks(self) -> dict[str, nn.Module]:
        """As the base's, with β."""
        return super().networks() | {"behaviour": self.behaviour}


ENTRY = LearnerEntry(
    ReinforceConfig,
    Reinforce,
    summary="A softmax over all items, trained by the policy gradient of logged returns, with corrections for how often each item was "
    "chosen and for lists of K items.",
    paper="Chen et al. 2019, arXiv:1812.02353",
)
