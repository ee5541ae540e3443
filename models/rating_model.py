"""A model of ratings: the mean, users' leaning, items' quality, and factors of both."""

from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.baselines.training import TrainingData
from models.histories import Histories

EVENTS_AT_ONCE = 1 << 18


class RatingConfig(BaseModel):
    """Size and regularisation of the rating model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factors: int = Field(8, ge=1, le=256, description="K, width of the rating model's factors.")
    rounds: int = Field(8, ge=1, le=100, description="Rounds of solving users, then items.")
    shrink: float = Field(5.0, gt=0, description="Number of average ratings added to every user's and item's own.")
    regularisation: float = Field(5.0, gt=0, description="λ of the factors, in squared rewards.")


class UserFactors(NamedTuple):
    """What histories (B, L) tell of B users: leaning (B,), factors (B, K), rewards less mean, quality and leaning (B, L)."""

    lean: Tensor
    taste: Tensor
    rest: Tensor


class RatingModel:
    """r ≈ mean + lean(u) + quality(i) + p(u)·q(i), fit on training users' events.

    Means are shrunk to zero, and factors fit by alternating least squares (Koren, Bell & Volinsky 2009); a new user's p
    solves the same least squares on the history.

    Attributes:
        mean: of the rewards.
        quality: (I,), 0 without events.
        factors: (I, K), 0 without events.
    """

    def __init__(self, config: RatingConfig, data: TrainingData, seed: int = 0) -> None:
        self.config = config
        self.mean = data.rewards.mean()
        users = torch.unique_consecutive(data.users, return_inverse=True)[1]
        rest, self.quality = self._offsets(users, data)
        self.factors = self._factors(users, data, rest, seed)

    def of(self, histories: Histories) -> UserFactors:
        """What these histories tell of their users."""
        items, rewards = histories
        there = (items >= 0).float()
        at = items.clamp_min(0)
        rest = (rewards - self.mean - self.quality[at]) * there
        lean = rest.sum(1) / (there.sum(1) + self.config.shrink)
        rest = (rest - lean.unsqueeze(1)) * there
        return UserFactors(lean, ridge(self.factors, items, rest, self.config.regularisation), rest)

    def _offsets(self, users: Tensor, data: TrainingData) -> tuple[Tensor, Tensor]:
        """Residuals of the rewards (N,) after the users' leaning and the items' quality, and the quality (I,)."""
        quality, lean = torch.zeros(data.catalogue), torch.zeros(int(users[-1]) + 1)
        for _ in range(3):
            for mine, index, other in ((quality, data.items, lean[users]), (lean, users, quality[data.items])):
                number = torch.bincount(index, minlength=len(mine))
                total = torch.zeros_like(mine).index_add_(0, index, data.rewards - self.mean - other)
                mine.copy_(total / (number + self.config.shrink))
        return data.rewards - self.mean - lean[users] - quality[data.items], quality

    def _factors(self, users: Tensor, data: TrainingData, rest: Tensor, seed: int) -> Tensor:
        """The items' factors, (I, K)."""
        generator = torch.Generator().manual_seed(seed)
        items = torch.randn((data.catalogue, self.config.factors), generator=generator)
        for _ in range(self.config.rounds):
            people = self._solved(users, int(users[-1]) + 1, items, data.items, rest)
            items = self._solved(data.items, data.catalogue, people, users, rest)
        return items

    def _solved(self, rows: Tensor, count: int, others: Tensor, columns: Tensor, rest: Tensor) -> Tensor:
        """Each row's factors (count, K), given the others': ridge regression of the residuals on them."""
        width = others.shape[1]
        left, right = torch.zeros((count, width * width)), torch.zeros((count, width))
        for begin in range(0, len(rows), EVENTS_AT_ONCE):
            part = slice(begin, begin + EVENTS_AT_ONCE)
            other = others[columns[part]]
            left.index_add_(0, rows[part], (other.unsqueeze(2) * other.unsqueeze(1)).flatten(1))
            right.index_add_(0, rows[part], other * rest[part].unsqueeze(1))
        solved: Tensor = torch.linalg.solve(damped(left.view(-1, width, width), self.config.regularisation), right)
        return solved


def ridge(vectors: Tensor, items: Tensor, rest: Tensor, regularisation: float) -> Tensor:
    """Ridge regression of B users' residuals (B, L) on the vectors (I, K) of their items (B, L), -1: none: (B, K)."""
    own = vectors[items.clamp_min(0)] * (items >= 0).float().unsqueeze(2)
    squares = damped(own.mT @ own, regularisation)
    found: Tensor = torch.linalg.solve(squares, (own.mT @ rest.unsqueeze(2)).squeeze(2))
    return found


def damped(squares: Tensor, regularisation: float) -> Tensor:
    """Squares (…, K, K) with λ on the diagonal."""
    return squares + regularisation * torch.eye(squares.shape[-1])
