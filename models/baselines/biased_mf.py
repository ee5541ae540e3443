"""Biased matrix factorisation of ratings by gradient descent (Koren, Bell & Volinsky 2009)."""

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import embedding

from models.baselines.descent import BatchSize, Descent, Epochs, LearningRate
from models.baselines.entry import BaselineEntry
from models.baselines.recency import RECENCY, Recency
from models.baselines.training import TrainingData
from models.histories import Histories
from models.threads import one_thread

EVENT_BLOCK = 256  # events of each history whose vectors are in memory at a time


class BiasedMfConfig(Descent):
    """Size and training of the factorisation, and how much of a history counts; [2009] is the paper, [2010] Steck's."""

    factors: int = Field(32, ge=1, le=1024, description="f, the width of a user's and of an item's vector.")
    regularisation: float = Field(
        0.03, gt=0, description="λ of the squared vectors and biases, per event [2009, eq. 5]."
    )
    unrated: int = Field(
        4,
        ge=0,
        le=100,
        description="Drawn items per event that count as rated with the least reward [2010]; 0: as in 2009.",
    )
    epochs: Epochs = 20
    batch: BatchSize = 1024
    learning_rate: LearningRate = 0.01


def predictions(mean: float, user: Tensor, item: Tensor) -> Tensor:
    """r̂ = μ + b_u + b_i + p_u·q_i [2009, eq. 4] of vectors (…, 1 + f) that begin with the bias: (…)."""
    return mean + user[..., 0] + item[..., 0] + (user[..., 1:] * item[..., 1:]).sum(-1)


def loss(mean: float, user: Tensor, item: Tensor, rewards: Tensor, regularisation: float) -> Tensor:
    """Σ (r - r̂)² + λ (b_u² + b_i² + |p_u|² + |q_i|²) over events [2009, eq. 5], of the vectors of each: 0-d."""
    error = rewards - predictions(mean, user, item)
    return error.square().sum() + regularisation * (user.square().sum() + item.square().sum())


@dataclass(frozen=True)
class BiasedMf:
    """Scores items by the reward that is predicted from a history.

    Legend of shapes:
        items    (I, 1 + f) float32, an item's bias and vector; zeros for items without training events
        trained  (I,) bool, items with training events
    """

    items: Tensor
    trained: Tensor
    mean: float
    least: float
    regularisation: float
    unrated: int
    recency: Recency

    def scores(self, histories: Histories) -> Tensor:
        """The predicted rewards, less the least of a history so that items without training events, which get 0, are last: (B, I).

        f² multiplications per event, and f³ and I f per history.
        """
        users = self.users(histories)
        predicted = self.mean + users[:, :1] + self.items[:, 0] + users[:, 1:] @ self.items[:, 1:].T
        scores = predicted - predicted.masked_fill(~self.trained, torch.inf).amin(1, keepdim=True)
        return scores * self.trained

    def users(self, histories: Histories) -> Tensor:
        """The bias and vector of each history's user, (B, 1 + f), which minimise the loss of training given the items.

        The minimum of ridge regression: an event has its recency weight w; the drawn items of training have their
        expectation, `unrated` · w times the mean over all trained items. Without events the vector is 0.
        """
        items, weight = self.recency.event_weights(histories, len(self.items))
        rewards = histories.rewards[:, -items.shape[1] :]
        width = self.items.shape[1]
        left, right = weight.new_zeros((len(items), width, width)), weight.new_zeros((len(items), width, 1))
        for place, reward, count in zip(*(one.split(EVENT_BLOCK, 1) for one in (items, rewards, weight)), strict=True):
            own = self.items[place.clamp_min(0)]  # (B, L, 1 + f)
            weighted = self._design(own) * count.unsqueeze(2)
            left += weighted.mT @ self._design(own)
            right += weighted.mT @ (reward - self.mean - own[..., 0]).unsqueeze(2)
        total = weight.sum(1)
        if self.unrated:
            every = self._design(self.items[self.trained])
            target = self.least - self.mean - self.items[self.trained][:, 0]
            left += (self.unrated * total)[:, None, None] * (every.T @ every / len(every))
            right += (self.unrated * total)[:, None, None] * (every.T @ target / len(every)).unsqueeze(1)
        penalty = self.regularisation * (1 + self.unrated) * total.clamp_min(1e-9)
        left.diagonal(dim1=1, dim2=2).add_(penalty.unsqueeze(1))
        solved: Tensor = torch.linalg.solve(left, right)
        return solved.squeeze(2)

    def _design(self, items: Tensor) -> Tensor:
        """What a user's bias and vector are multiplied with: 1 and q_i."""
        return torch.cat((torch.ones_like(items[..., :1]), items[..., 1:]), dim=-1)


@one_thread()
def fit_biased_mf(config: BiasedMfConfig, data: TrainingData) -> BiasedMf:
    """Descend the loss in batches of events; a user's or item's vector moves only with its own events.

    An epoch costs events × (1 + unrated) × f multiplications. Users' vectors are not kept.
    """
    device, generator = data.items.device, torch.Generator().manual_seed(config.seed)
    _, user = torch.unique_consecutive(data.users, return_inverse=True)
    trained = data.counts > 0
    candidates = trained.nonzero().squeeze(1)
    mean, least = float(data.rewards.mean()), float(data.rewards.min())
    sides = [torch.zeros((count, 1 + config.factors), device=device) for count in (int(user[-1]) + 1, data.catalogue)]
    for side in sides:
        side[:, 1:] = 0.1 * torch.randn((len(side), config.factors), generator=generator).to(device)
        side.requires_grad_()
    optimiser = torch.optim.SparseAdam(sides, lr=config.learning_rate)
    for events in config.batches(len(user), generator, device):
        drawn = torch.randint(len(candidates), (config.unrated * len(events),), generator=generator).to(device)
        users = user[events].repeat(1 + config.unrated)
        items = torch.cat((data.items[events], candidates[drawn]))
        rewards = torch.cat((data.rewards[events], torch.full((len(drawn),), least, device=device)))
        mine, theirs = embedding(users, sides[0], sparse=True), embedding(items, sides[1], sparse=True)
        optimiser.zero_grad()
        (loss(mean, mine, theirs, rewards, config.regularisation) / len(users)).backward()
        optimiser.step()
    vectors = sides[1].detach() * trained.unsqueeze(1)
    return BiasedMf(vectors, trained, mean, least, config.regularisation, config.unrated, config)


ENTRY = BaselineEntry(
    "biased-mf",
    BiasedMfConfig,
    fit_biased_mf,
    by_default=False,
    summary="Ratings as biases plus a product of vectors, by gradient descent; a history's user vector is solved for.",
    paper="Koren, Bell & Volinsky 2009",
    grid={"unrated": (4, 0), "regularisation": (0.03, 0.1)} | RECENCY,
)
