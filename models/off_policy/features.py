"""Features of a history and an item, the inputs of the behaviour policy and the reward model."""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from models.baselines.ease import EaseConfig, fit_ease
from models.baselines.markov import MarkovConfig, fit_markov
from models.baselines.training import TrainingData
from models.histories import Histories
from models.rating_model import RatingConfig, RatingModel

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


class FeatureConfig(RatingConfig):
    """Size and regularisation of the features' models."""

    floor: float = Field(0.1, gt=0, lt=1, description="Weight of popularity in the feature `follows`.")
    together_floor: float = Field(0.01, gt=0, description="Added to EASE's scores before the log, because most are 0.")


class Features:
    """Features of any history and all items, fit on training users' events."""

    def __init__(self, config: FeatureConfig, data: TrainingData, seed: int = 0) -> None:
        self.config = config
        self.ratings = RatingModel(config, data, seed)
        share = (data.counts + 1.0) / (data.counts + 1.0).sum()
        self.share = share  # (I,)
        self.unit = normalize(data.embedding, dim=1)  # (I, D)
        self.follows = fit_markov(MarkovConfig(window=5, pair_decay=0.8, shrink=10.0, last=10, decay=0.8), data)
        least = min(5, int(data.together.diagonal().max()))  # so that small data keep some items
        self.together = fit_ease(EaseConfig(regularisation=100.0, last=20, decay=0.9, min_count=least), data)

    def of(self, histories: Histories) -> Tensor:
        """Features of each history with all items, in the order of `NAMES`: (B, I, F) float32."""
        items = histories.items
        there = (items >= 0).float()
        at, number = items.clamp_min(0), there.sum(1)
        lean, taste, rest = self.ratings.of(histories)
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
                self.ratings.quality.expand(shape),
                taste @ self.ratings.factors.T,
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
