"""Simulated users fitted to a log of ratings: a model of the users, not the truth about them.

What a log shows is fitted: tastes, items' quality, how users rate and choose, how long they stay. What no log shows is assumed: how
often users follow a recommendation, which items they regret, and how much boredom, regret and dissatisfaction count (`Strength`).
"""

from typing import NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from scipy.optimize import nnls
from torch import Tensor
from torch.nn.functional import normalize

from models.baselines.training import TrainingData
from models.environments.choices import Choices
from models.environments.mechanics import Mechanics
from models.environments.ratings import Ratings
from models.environments.world import QUALITY, TASTE, Doubles, Floats, Ints, World, appeal_of_topics, topics_of
from models.histories import Histories, seen_items
from models.off_policy.behaviour import fit_logit
from models.rating_model import RatingModel, ridge

COMPONENTS = 16  # C, principal components of the embeddings in which users have a taste
POLES = 8  # of them, the first, whose strongest pole is an item's topic; T = 2 * POLES
REGULARISATION = 10.0  # λ of the taste in contents, in squared rewards
TEMPTING = 0.6  # correlation of an item's appeal with its quality


class Strength(BaseModel):
    """How strong the mechanisms are that no log shows; named as in `Mechanics`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=40, description="Name in the report.")
    boredom: float = Field(0.0, ge=0, le=10, description="As in the mechanics.")
    after_effect: float = Field(0.0, ge=0, le=5, description="As in the mechanics.")
    exit_slope: float = Field(0.0, ge=0, le=10, description="As in the mechanics.")
    satiation: float = Field(0.0, ge=0, le=10, description="As in the mechanics.")

    def of(self, mechanics: Mechanics) -> Mechanics:
        """The mechanics with these strengths."""
        return mechanics.model_copy(update=self.model_dump(exclude={"name"}))


# The first leaves regret out, because it is drawn at random which items are regretted.
STRENGTHS = (
    Strength(name="boredom and exit", boredom=2.0, exit_slope=1.0),
    Strength(name="regret too, as in Marquee-v0", boredom=2.0, after_effect=0.2, exit_slope=1.0),
    Strength(name="all twice as strong", boredom=4.0, after_effect=0.4, exit_slope=2.0),
    Strength(name="smooth satiation and exit", satiation=2.0, exit_slope=1.0),
    Strength(name="no mechanism"),
)


class Scale(NamedTuple):
    """The dataset's ratings lowest, lowest + step … highest, and their rewards, scale * rating + offset."""

    lowest: float
    highest: float
    step: float
    scale: float
    offset: float

    def ratings(self, rewards: Tensor) -> Doubles:
        """The ratings of rewards, any shape."""
        return np.asarray((rewards.double().numpy() - self.offset) / self.scale)


class People(NamedTuple):
    """What is known of B users: their leaning (B,), their taste in the rating model's factors (B, K) and in contents (B, C)."""

    lean: Tensor
    taste: Tensor
    content_taste: Tensor


class Items(NamedTuple):
    """What is known of the items: the rating model (I, K), and the components of their embeddings (I, C), on average of length 1."""

    model: RatingModel
    contents: Tensor

    def people(self, histories: Histories) -> People:
        """What these histories tell of their users."""
        lean, taste, rest = self.model.of(histories)
        return People(lean, taste, ridge(self.contents, histories.items, rest, REGULARISATION))

    def terms(self, people: People, users: Tensor, items: Tensor) -> Doubles:
        """Leaning, quality and both tastes of N pairs of users (N,), places in `people`, and items (N,): (N, 4)."""
        taste = (people.taste[users] * self.model.factors[items]).sum(1)
        content_taste = (people.content_taste[users] * self.contents[items]).sum(1)
        terms = (people.lean[users], self.model.quality[items], taste, content_taste)
        return np.asarray(torch.stack(terms, 1).double().numpy())


class RatingFit(NamedTuple):
    """rating ≈ middle + weights · (lean, quality, taste, content taste), with a deviation of `noise`."""

    middle: float
    weights: Doubles
    noise: float


def fit_ratings(terms: Doubles, ratings: Doubles) -> RatingFit:
    """Fit the weights of terms (N, 4), see `Items.terms`, to ratings (N,) that they have not seen, so that predictions are calibrated.

    No weight is negative: the middle and the noise are those of the best fit without negative weights.
    """
    mean = terms.mean(0)
    weights = nnls(terms - mean, ratings - ratings.mean())[0]
    rest = ratings - terms @ weights
    return RatingFit(float(rest.mean()), weights, max(float(rest.std()), 1e-3))


class Fitted(NamedTuple):
    """Users of a world, who rate and choose like this; `slope` is by how much a liking of 1 adds to the odds of a choice."""

    world: World
    ratings: Ratings
    choices: Choices
    slope: float


def fit_world(
    known: Items,
    fit: RatingFit,
    people: People,
    training: TrainingData,
    scale: Scale,
    chosen: tuple[Histories, Tensor, Tensor],
    seed: int,
) -> Fitted:
    """Make a world of users and items of a dataset.

    A liking of 1 adds the same share of the rating scale as in a drawn world, so that strengths mean the same.

    Args:
        known: of the items.
        fit: the weights of a rating's terms.
        people: the U users of the world.
        training: events of training users, which say how popular items are.
        scale: of the ratings.
        chosen: steps from which the weights of users' own choices are fitted: histories, places (S,) of their users among
            the U, and the items chosen next (S,).
        seed: of the appeal, which is drawn.
    """
    slope = Ratings().slope * (scale.highest - scale.lowest) / (Ratings().highest - Ratings().lowest)
    lean, quality, taste, content_taste = fit.weights
    unit, model = normalize(training.embedding, dim=1), known.model
    poles = known.contents[:, :POLES]
    topics = topics_of((poles / poles.std(0).clamp_min(1e-12)).numpy())
    log_count = torch.log(training.counts.float() + 0.5)
    world = World(
        (torch.cat((taste * people.taste, content_taste * people.content_taste), 1) / (slope * TASTE)).numpy(),
        torch.cat((model.factors, known.contents), 1).numpy(),
        (model.quality * (quality / slope / QUALITY)).numpy(),
        appeal(model.quality.double().numpy(), training.counts.double().numpy(), topics, np.random.default_rng(seed)),
        topics,
        log_count.numpy(),
        (people.lean * lean).numpy(),
    )
    weights = fit_choices(world, unit, *chosen)
    popularity, affinity, similarity = weights
    return Fitted(
        world._replace(popularity=(popularity * log_count).numpy()),
        Ratings(scale.lowest, scale.highest, scale.step, fit.middle, slope, fit.noise),
        Choices(affinity, 0.0, similarity, 1.0, unit.numpy()),
        affinity,
    )


def fit_choices(world: World, unit: Tensor, histories: Histories, users: Tensor, items: Tensor) -> list[float]:
    """Weights of log popularity, affinity and similarity to the latest three items in users' own choices, at least 0."""
    liking = torch.from_numpy(world.affinity(users.numpy())).float()
    last = histories.last(3).items
    pull = (unit[last.clamp_min(0)] * (last >= 0).unsqueeze(2)).sum(1) @ unit.T
    popularity = torch.from_numpy(world.popularity).expand_as(liking)
    weights, _ = fit_logit(torch.stack((popularity, liking, pull), 2), seen_items(histories.items, len(unit)), items)
    return [max(0.0, float(weight)) for weight in weights]


def principal_components(embedding: Tensor) -> Tensor:
    """The first components of the directions of embeddings (I, D), with a mean square length of 1: (I, ≤ COMPONENTS)."""
    unit = normalize(embedding, dim=1)
    centred = (unit - unit.mean(0)).double()
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    kept = vectors[:, -COMPONENTS:].flip(1)
    kept = kept * torch.where(kept.sum(0) < 0, -1.0, 1.0)  # eigenvectors have no sign of their own
    found = centred @ kept
    scaled: Tensor = found / found.square().sum(1).mean().sqrt().clamp_min(1e-12)
    return scaled.float()


def appeal(quality: Doubles, counts: Doubles, topics: Ints, rng: np.random.Generator) -> Floats:
    """Draw what users regret, (I,): by topic, as in a drawn world, and more of it where quality is high, so that it tempts.

    No log shows it. Quality is standardised over events, so that the average choice of the log has an appeal near 0.
    """
    mean = np.average(quality, weights=counts)
    deviation = np.sqrt(np.average((quality - mean) ** 2, weights=counts))
    tempting = TEMPTING * (quality - mean) / max(deviation, 1e-12)
    return np.asarray(
        tempting + (1 - TEMPTING**2) ** 0.5 * appeal_of_topics(topics, rng, int(topics.max()) + 1), dtype=np.float32
    )
