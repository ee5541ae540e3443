"""Features of a history and an item, the inputs of the behaviour policy and the reward model."""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import normalize

from models.baselines.ease import EaseConfig, fit_ease
from models.baselines.markov import MarkovConfig, fit_markov
from models.baselines.training import TrainingData
from models.histories import Histories

EVENTS_AT_ONCE = 1 << 18
NAMES = (
    "one",
    "leaning",  # how far the user's ratings lie above others'
    "length",  # log(1 + events of the history)
    "quality",  # how far the item's ratings lie above other items'
    "taste",  # the rating that learnt factors predict from the history
    "content taste",  # the same by the similarity of embeddings
    "popularity",  # log share of training events
    "popularity as of late",  # times the mean of the last five items'
    "like the last",  # cosine to the last three items
    "like the history",
    "follows",  # log share of this item among those that followed the last ten
    "goes with",  # log of EASE's score for the last twenty items
)
OF_HISTORY = 3  # the first of them, which do not depend on the item


class FeatureConfig(BaseModel):
    """Size and regularisation of the features' models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factors: int = Field(8, ge=1, le=256, description="K, width of the rating model's factors.")
    rounds: int = Field(8, ge=1, le=100, description="Rounds of solving users, then items.")
    shrink: float = Field(5.0, gt=0, description="Number of average ratings added to every user's and item's own.")
    regularisation: float = Field(5.0, gt=0, description="λ of the factors, in squared rewards.")
    floor: float = Field(0.1, gt=0, lt=1, description="Weight of popularity in the feature `follows`.")
    together_floor: float = Field(0.01, gt=0, description="Added to EASE's scores before the log, because most are 0.")


class Features:
    """Features of any history and all items, fit on training users' events.

    The rating model is r ≈ mean + lean(u) + quality(i) + p(u)·q(i) with means shrunk to zero and factors by alternating
    least squares (Koren, Bell & Volinsky 2009); a new user's p solves the same least squares on the history.
    """

    def __init__(self, config: FeatureConfig, data: TrainingData, seed: int = 0) -> None:
        self.config = config
        self.mean = data.rewards.mean()
        users = torch.unique_consecutive(data.users, return_inverse=True)[1]
        rest, self.quality = self._offsets(users, data)
        self.factors = self._factors(users, data, rest, seed)  # (I, K)
        share = (data.counts + 1.0) / (data.counts + 1.0).sum()
        self.share = share  # (I,)
        self.unit = normalize(data.embedding, dim=1)  # (I, D)
        self.follows = fit_markov(MarkovConfig(window=5, pair_decay=0.8, shrink=10.0, last=10, decay=0.8), data)
        least = min(5, int(data.together.diagonal().max()))  # so that small data keep some items
        self.together = fit_ease(EaseConfig(regularisation=100.0, last=20, decay=0.9, min_count=least), data)

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
        solved: Tensor = torch.linalg.solve(self._damped(left.view(-1, width, width)), right)
        return solved

    def _damped(self, squares: Tensor) -> Tensor:
        return squares + self.config.regularisation * torch.eye(squares.shape[-1])

    def of(self, histories: Histories) -> Tensor:
        """Features of each history with all items, in the order of `NAMES`: (B, I, F) float32."""
        items, rewards = histories
        there = (items >= 0).float()
        at, number = items.clamp_min(0), there.sum(1)
        rest = (rewards - self.mean - self.quality[at]) * there
        lean = rest.sum(1) / (number + self.config.shrink)
        rest = (rest - lean.unsqueeze(1)) * there
        own = self.factors[at] * there.unsqueeze(2)
        taste = torch.linalg.solve(self._damped(own.mT @ own), (own.mT @ rest.unsqueeze(2)).squeeze(2))
        weights = (
            rest / (number + self.config.shrink).unsqueeze(1),
            there * (torch.arange(items.shape[1]) >= items.shape[1] - 3) / 3,
            there / number.clamp_min(1).unsqueeze(1),
        )
        place = items.where(items >= 0, len(self.unit))
        spread = [torch.zeros((len(items), len(self.unit) + 1)).scatter_add_(1, place, one) for one in weights]
        liked, last, whole = (((one[:, :-1] @ self.unit) @ self.unit.T) for one in spread)
        follow = self.follows.scores(histories)
        follow /= follow.sum(1, keepdim=True).clamp_min(1e-12)
        follow = torch.log((1 - self.config.floor) * follow + self.config.floor * self.share)
        together = torch.log(self.together.scores(histories).clamp_min(0) + self.config.together_floor)
        shape, popularity = follow.shape, self.share.log() - self.share.log().mean()
        late = (popularity[at[:, -5:]] * there[:, -5:]).sum(1) / there[:, -5:].sum(1).clamp_min(1)
        return torch.stack(
            (
                torch.ones(shape),
                lean.unsqueeze(1).expand(shape),
                torch.log1p(number).unsqueeze(1).expand(shape),
                self.quality.expand(shape),
                taste @ self.factors.T,
                liked,
                popularity.expand(shape),
                late.unsqueeze(1) * popularity,
                last,
                whole,
                follow,
                together,
            ),
            dim=2,
        )
