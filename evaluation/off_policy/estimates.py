"""Off-policy evaluation of a dataset's test users: fit the models, walk the states, judge every method."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from evaluation.baselines import training_data
from evaluation.protocols.cases import choose
from models.baselines.training import TrainingData
from models.histories import Histories, Scorer
from models.nearest import top_items
from models.off_policy.behaviour import Behaviour, fit_behaviour
from models.off_policy.estimators import Estimates, Value, estimate, logged_value, user_draws
from models.off_policy.features import NAMES, FeatureConfig, Features
from models.off_policy.fitted_q import Floats, LoggedSteps
from storage.dataset.reader import TransitionDataset

CELLS_AT_ONCE = 2_500_000  # rows × items whose features are held at a time: 100 MB
CALIBRATION_CELLS = 6_000_000  # the same for the behaviour policy's fit


class OffPolicyParams(BaseModel):
    """What off-policy evaluation looks at, and when it says that an estimate cannot be trusted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: int = Field(250, ge=2, le=100_000, description="At most so many test users, drawn at random.")
    steps_per_user: int = Field(20, ge=1, le=1000, description="At most so many last steps of each.")
    depth: int = Field(100, ge=1, le=1000, description="Places of a recommended list that may be taken.")
    steepness: float = Field(
        1.0, ge=0, le=10, description="The item at place j (from 0) is taken ∝ (j + 1)^-steepness."
    )
    discount: float = Field(0.9, ge=0, lt=1, description="γ of the value of several steps; the ranking learner's own.")
    horizon: int = Field(10, ge=1, le=1000, description="H, steps of that value.")
    clip_quantile: float = Field(0.99, gt=0.5, le=1, description="Of positive weights; larger ones are clipped to it.")
    least_effective: float = Field(20.0, ge=1, description="A smaller effective number of users is warned of.")
    reach: float = Field(
        0.02, gt=0, le=1, description="A choice is within reach where one such step logged outweighs no more of all."
    )
    least_support: float = Field(0.8, ge=0, le=1, description="A smaller share of choices within reach is warned of.")
    weight_bounds: tuple[float, float] = Field(
        (0.5, 2.0), description="A mean weight beyond these, and beyond chance, is warned of; 1 is right."
    )
    most_correction: float = Field(
        0.03,
        ge=0,
        le=1,
        description="A larger DR - DM, as a share of the rating scale, and beyond chance, is warned of.",
    )
    features: FeatureConfig = Field(FeatureConfig(), description="Of the features of all models.")
    max_items: int = Field(
        4000, ge=10, le=50_000, description="So many most frequent items know what follows and goes with them."
    )
    training_events: int = Field(1_000_000, ge=100, description="The features are counted on at most about so many.")
    calibration_steps: int = Field(
        1000, ge=10, description="At most so many validation steps fit the behaviour policy."
    )
    draws: int = Field(500, ge=20, le=100_000, description="Bootstrap draws of users.")
    seed: int = Field(0, ge=0, description="Of every draw.")


@dataclass(frozen=True)
class Fit:
    """How well a behaviour policy foresees test users' choices: e to the mean of -log probability, fewer is better."""

    perplexity: float
    popularity: float  # the same of popularity alone
    uniform: float  # the same of all unseen items alike


@dataclass(frozen=True)
class JudgedPolicy:
    """A method's estimates, the share of its choices within the log's reach, and its true value where that is known."""

    estimates: Estimates
    support: float
    true_value: float | None


@dataclass(frozen=True)
class OffPolicyResult:
    """All that was found; values in rewards."""

    users: int
    steps: int
    logged: Value
    fit: Fit
    judged: dict[str, JudgedPolicy]


def judge_off_policy(
    dataset: TransitionDataset,
    scorers: Mapping[str, Scorer],
    params: OffPolicyParams,
    truth: NDArray[np.float32] | None = None,
    show: Callable[[str], None] = lambda _: None,
) -> OffPolicyResult | None:
    """Estimate every method's value on the last steps of test users; None where there are no test or validation steps.

    Features are fitted on training users, the behaviour policy's weights on validation users, the reward model and Q,
    linear in few features, on the half of the test users that they do not judge.

    Args:
        dataset: on the CPU.
        scorers: by name.
        params: how.
        truth: (U, I) true mean rewards of the dataset's users and items, where known.
        show: called with every name when it is done.
    """
    fitting = fresh(
        dataset, choose(dataset.last_starts("validation", 20), _calibration_steps(dataset, params), params.seed)
    )
    starts = fresh(dataset, judged_starts(dataset, params))
    if len(fitting) == 0 or len(starts) == 0:
        return None
    features = Features(params.features, capped(training_data(dataset, params.max_items), params), params.seed)
    known = Histories(*dataset.histories(fitting))
    behaviour = fit_behaviour(features.of(known), seen_items(known, dataset.items), dataset.target_items(fitting))
    walk = _Walk(dataset, features, behaviour, starts, params, truth)
    for rows in walk.blocks():
        walk.visit(rows, scorers)
    counts = user_draws(walk.users, params.draws, params.seed)
    logged = walk.logged()
    judged = {}
    for name in scorers:
        taken = walk.taken[name]
        found = estimate(
            logged,
            taken.weights,
            taken.expected,
            counts,
            clip_quantile=params.clip_quantile,
            discount=params.discount,
            horizon=params.horizon,
        )
        true = None if truth is None else float(logged.by_user(taken.true).mean())
        judged[name] = JudgedPolicy(found, float(logged.by_user(taken.support).mean()), true)
        show(name)
    perplexities = np.exp(-logged.by_user(walk.log_likelihood).mean(0))
    return OffPolicyResult(
        walk.users, len(starts), logged_value(logged, counts), Fit(*map(float, perplexities)), judged
    )


def _calibration_steps(dataset: TransitionDataset, params: OffPolicyParams) -> int:
    return max(1, min(params.calibration_steps, CALIBRATION_CELLS // int(dataset.items)))


def judged_starts(dataset: TransitionDataset, params: OffPolicyParams) -> Tensor:
    """The steps judged: neighbouring last ones of some test users, (T,) int64."""
    starts = dataset.last_starts("test", params.steps_per_user)
    users = dataset.users_of(starts)
    return starts[torch.isin(users, choose(users.unique(), params.users, params.seed))]


def fresh(dataset: TransitionDataset, starts: Tensor) -> Tensor:
    """The starts whose action is an item not rated before: nothing else is recommended, so nothing else can be judged."""
    if len(starts) == 0:
        return starts
    kept = [
        (dataset.histories(part)[0] != dataset.target_items(part).unsqueeze(1)).all(1) for part in starts.split(1024)
    ]
    return starts[torch.cat(kept)]


def capped(data: TrainingData, params: OffPolicyParams) -> TrainingData:
    """The events of as many training users, drawn at random, as make about `params.training_events`."""
    share = params.training_events / len(data.users)
    if share >= 1:
        return data
    people = data.users.unique()
    rows = torch.isin(data.users, choose(people, max(1, int(share * len(people))), params.seed))
    return TrainingData(
        data.users[rows], data.items[rows], data.rewards[rows], data.times[rows], data.embedding, data.max_items
    )


def seen_items(histories: Histories, items: int) -> Tensor:
    """Which items each history holds: (B, I) bool."""
    seen = torch.zeros((len(histories.items), items + 1), dtype=torch.bool)
    return seen.scatter_(1, histories.items.where(histories.items >= 0, items), True)[:, :items]


def chances(scores: Tensor, seen: Tensor, params: OffPolicyParams) -> tuple[Tensor, Tensor]:
    """π: the items of each list, (B, C) int64, best first, and the probability that each is taken, (B, C).

    Raises:
        LearnerError: a score is NaN.
    """
    items = top_items(scores.masked_fill(seen, -torch.inf), min(params.depth, scores.shape[1]))
    place = torch.arange(1, items.shape[1] + 1, dtype=torch.float32)
    taken = place**-params.steepness * ~seen.gather(1, items)  # where fewer are unseen, the list ends with seen ones
    return items, taken / taken.sum(1, keepdim=True).clamp_min(1e-12)


class _Taken:
    """What one method would do at T steps."""

    def __init__(self, steps: int) -> None:
        self.weights = np.zeros(steps)  # (T,) π / μ of the logged choice
        self.expected = np.zeros((steps, len(NAMES)))  # (T, F) Σ_a π φ
        self.support = np.zeros(steps)  # (T,) Σ_a π of those within reach
        self.true = np.zeros(steps)  # (T,) Σ_a π r


class _Walk:
    """All states once, a block of rows at a time; the features of all items are made once for all methods."""

    def __init__(
        self,
        dataset: TransitionDataset,
        features: Features,
        behaviour: Behaviour,
        starts: Tensor,
        params: OffPolicyParams,
        truth: NDArray[np.float32] | None,
    ) -> None:
        self.dataset, self.features, self.behaviour, self.params = dataset, features, behaviour, params
        self.starts, self.truth = starts, truth
        self.targets = dataset.target_items(starts)
        self.user_rows = dataset.users_of(starts)
        self.users = len(self.user_rows.unique())
        self.reach = len(starts) * params.reach  # the largest weight that is
        self.chosen = np.zeros((len(starts), len(NAMES)))
        self.log_likelihood = np.zeros((len(starts), 3))
        self.taken: dict[str, _Taken] = {}

    def blocks(self) -> tuple[Tensor, ...]:
        """Rows in the order of their histories' lengths, so that little is filled up."""
        known = self.starts - self.dataset.offset[self.user_rows]
        size = max(1, min(256, CELLS_AT_ONCE // int(self.dataset.items)))
        return tuple(torch.split(known.argsort(stable=True), size))

    def visit(self, rows: Tensor, scorers: Mapping[str, Scorer]) -> None:
        """Fill in these rows, for the behaviour policy and all methods."""
        histories = Histories(*self.dataset.histories(self.starts[rows]))
        seen = seen_items(histories, self.dataset.items)
        features = self.features.of(histories)
        log_mu = self.behaviour.log_probabilities(features, seen)
        target, place = self.targets[rows].unsqueeze(1), torch.arange(len(rows)).unsqueeze(1)
        log_own = log_mu.gather(1, target)
        popularity = self.features.share.log().masked_fill(seen, -torch.inf).log_softmax(1)
        uniform = -(~seen).sum(1, keepdim=True).float().log()
        self.log_likelihood[rows] = torch.cat((log_own, popularity.gather(1, target), uniform), 1).double().numpy()
        self.chosen[rows] = features[place, target].squeeze(1).double().numpy()
        for name, scorer in scorers.items():
            taken = self.taken.setdefault(name, _Taken(len(self.starts)))
            items, chance = chances(scorer.scores(histories), seen, self.params)
            own = (chance * (items == target)).sum(1)
            within = (chance.log() - log_mu.gather(1, items)).exp() <= self.reach
            taken.weights[rows] = (own / log_own.squeeze(1).exp()).double().numpy()
            taken.expected[rows] = torch.einsum("bc,bcf->bf", chance, features[place, items]).double().numpy()
            taken.support[rows] = (chance * within).sum(1).double().numpy()
            if self.truth is not None:
                true = torch.from_numpy(self.truth[self.user_rows[rows].unsqueeze(1).numpy(), items.numpy()])
                taken.true[rows] = (chance * true).sum(1).double().numpy()

    def logged(self) -> LoggedSteps:
        """The log itself."""
        users = torch.unique_consecutive(self.user_rows, return_inverse=True)[1]
        following = (self.starts[1:] == self.starts[:-1] + 1) & (users[1:] == users[:-1])
        rewards: Floats = self.dataset.target_rewards(self.starts).double().numpy()
        return LoggedSteps(users.numpy(), self.chosen, rewards, np.append(following.numpy(), False))
