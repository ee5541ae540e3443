"""A restricted Boltzmann machine of the items that users chose (Salakhutdinov, Mnih & Hinton 2007)."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from models.baselines.descent import BatchSize, Descent, Epochs, LearningRate
from models.baselines.entry import BaselineEntry
from models.baselines.recency import RECENCY, Recency
from models.baselines.training import TrainingData, most_frequent, rows_of_items
from models.errors import LearnerError
from models.histories import Histories
from models.threads import one_thread


class RbmConfig(Descent):
    """Size and training of the machine, and how much of a history counts; [2007] is the paper, [2012] Hinton's guide."""

    hidden: int = Field(100, ge=1, le=4096, description="H, the number of hidden units [2007: 100].")
    steps: int = Field(1, ge=1, le=100, description="k of CD-k, the steps of Gibbs sampling [2007, section 2.2].")
    epochs: Epochs = 30
    batch: BatchSize = 32
    learning_rate: LearningRate = 0.05
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of the updates [2007: 0.9].")
    weight_decay: float = Field(0.001, ge=0, le=1, description="λ of the squared weights [2007: 0.001].")
    min_count: int = Field(5, ge=1, description="Items with fewer training events are left out.")


class BoltzmannMachine(NamedTuple):
    """The parameters of a machine with a visible unit for each of M items, or their gradients.

    Legend of shapes:
        weights  (M, H) float32
        visible  (M,)   float32, biases of the visible units
        hidden   (H,)   float32, biases of the hidden units
    """

    weights: Tensor
    visible: Tensor
    hidden: Tensor

    def hidden_chances(self, visible: Tensor) -> Tensor:
        """p(h_j = 1 | v) = σ(b_j + Σ_i v_i W_ij) [2007, section 2.1] of units (B, M): (B, H)."""
        return torch.sigmoid(self.hidden + visible @ self.weights)

    def visible_chances(self, hidden: Tensor) -> Tensor:
        """p(v_i = 1 | h) = σ(b_i + Σ_j h_j W_ij) [2007, section 2.1, for two values] of units (B, H): (B, M)."""
        return torch.sigmoid(self.visible + hidden @ self.weights.T)


def divergence_gradient(
    machine: BoltzmannMachine, chosen: Tensor, steps: int, generator: torch.Generator
) -> BoltzmannMachine:
    """The direction of CD-k, ⟨v h⟩ of the data less ⟨v h⟩ after k steps of Gibbs sampling [2007, section 2.2].

    States are sampled, but the two hidden factors ⟨h⟩ are probabilities, which have less noise [2012, section 3].

    Args:
        machine: the parameters.
        chosen: (B, M) float32 of 0 and 1, the items that each user of a batch chose.
        steps: k.
        generator: of the sampled states.
    """
    first = hidden = machine.hidden_chances(chosen)
    for _ in range(steps):
        visible = sampled(machine.visible_chances(sampled(hidden, generator)), generator)
        hidden = machine.hidden_chances(visible)
    weights = (chosen.T @ first - visible.T @ hidden) / len(chosen)
    return BoltzmannMachine(weights, (chosen - visible).mean(0), (first - hidden).mean(0))


def sampled(chances: Tensor, generator: torch.Generator) -> Tensor:
    """1 with the given probability, else 0; of the same shape and type."""
    return (torch.rand(chances.shape, generator=generator) < chances.cpu()).to(chances)


@dataclass(frozen=True)
class Rbm:
    """Scores an item by its probability after one step from a history; items without a unit score 0.

    Legend of shapes:
        items  (M,) int64, the item index of each visible unit
    """

    machine: BoltzmannMachine
    items: Tensor
    catalogue: int
    recency: Recency

    def scores(self, histories: Histories) -> Tensor:
        """p(v_i = 1 | ⟨h⟩) with ⟨h⟩ = p(h = 1 | history) [2007, section 2.3]: (B, I). 2 M H multiplications per history."""
        known = self.recency.weights(histories, self.catalogue)[:, self.items]
        scores = torch.zeros((len(known), self.catalogue), device=known.device)
        scores[:, self.items] = self.machine.visible_chances(self.machine.hidden_chances(known))
        return scores


@one_thread()
def fit_rbm(config: RbmConfig, data: TrainingData) -> Rbm:
    """Ascend CD-k with momentum and weight decay; the rows of one batch are dense at a time.

    The visible biases begin at the log odds of each item's share of the users [2012, section 8]. An epoch costs about
    users × M × H × (4 + 4 k) multiplications.

    Raises:
        LearnerError: no item is frequent enough.
    """
    items = most_frequent(data.counts, data.max_items, config.min_count)
    if len(items) == 0:
        raise LearnerError(
            f"RBM: expected items with {config.min_count} training events or more; found none. Give more ratings."
        )
    device, generator = data.items.device, torch.Generator().manual_seed(config.seed)
    column = rows_of_items(items, data.catalogue)[data.items]
    _, number = torch.unique_consecutive(data.users, return_counts=True)
    first = number.cumsum(0) - number
    share = ((data.counts[items] + 0.5) / (len(number) + 1.0)).clamp_max(0.99)  # a user may have an item several times
    weights = 0.01 * torch.randn((len(items), config.hidden), generator=generator)  # [2012, section 8]
    machine = BoltzmannMachine(weights.to(device), torch.logit(share), torch.zeros(config.hidden, device=device))
    velocity = BoltzmannMachine(*map(torch.zeros_like, machine))
    for users in config.batches(len(number), generator, device):
        count = number[users]
        row = torch.arange(len(users), device=device).repeat_interleave(count)
        place = torch.arange(len(row), device=device) - (count.cumsum(0) - count)[row]
        chosen = torch.zeros((len(users), len(items) + 1), device=device)
        chosen[row, column[first[users][row] + place]] = 1.0  # items without a unit go to the last column
        gradient = divergence_gradient(machine, chosen[:, :-1], config.steps, generator)
        gradient.weights.sub_(machine.weights, alpha=config.weight_decay)
        for parameter, speed, slope in zip(machine, velocity, gradient, strict=True):
            parameter.add_(speed.mul_(config.momentum).add_(slope, alpha=config.learning_rate))
    return Rbm(machine, items, data.catalogue, config)


ENTRY = BaselineEntry(
    "rbm",
    RbmConfig,
    fit_rbm,
    by_default=False,
    summary="Restricted Boltzmann machine of the chosen items, trained by contrastive divergence.",
    paper="Salakhutdinov, Mnih & Hinton 2007",
    grid={"epochs": (30, 60), "hidden": (100, 50)} | RECENCY,
)
