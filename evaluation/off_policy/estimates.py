"""Off-policy evaluation on a dataset's test users: fit the models, visit the states, estimate the value of every method."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from evaluation.baselines import training_data
from evaluation.protocols.cases import at_most
from models.baselines.training import TrainingData
from models.histories import Histories, Scorer, seen_items
from models.nearest import top_items
from models.off_policy.behaviour import Behaviour, fit_behaviour
from models.off_policy.estimators import Estimates, Value, estimate, logged_value, user_draws
from models.off_policy.features import NAMES, FeatureConfig, Features
from models.off_policy.fitted_q import Doubles, LoggedSteps
from storage.dataset.reader import TransitionDataset

CELLS_AT_ONCE = 2_500_000  # rows × items whose features are in memory at a time: 100 MB
CALIBRATION_CELLS = 6_000_000  # the same for the behaviour policy's fit
TrueRewards = Callable[[Tensor], NDArray[np.float32]]  # starts (B,) → mean rewards of all items in those states (B, I)
LogPropensities = Callable[[Histories], Tensor]  # log μ(a | h) of each item, (B, I); -inf for items rated before


class OffPolicyParams(BaseModel):
    """The parameters of off-policy evaluation, and the bounds beyond which it warns that an estimate is unreliable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: int = Field(250, ge=2, le=100_000, description="Number of test users, at most; drawn at random.")
    steps_per_user: int = Field(20, ge=1, le=1000, description="Number of last steps of each user, at most.")
    depth: int = Field(100, ge=1, le=1000, description="Length of the recommended list from which an item is drawn.")
    steepness: float = Field(
        1.0, ge=0, le=10, description="The item at rank j (from 0) is drawn with probability ∝ (j + 1)^-steepness."
    )
    discount: float = Field(
        0.9, ge=0, lt=1, description="γ of the value of several steps; the ranking learner has the same."
    )
    horizon: int = Field(10, ge=1, le=1000, description="H, the number of steps of that value.")
    clip_quantile: float = Field(
        0.99, gt=0.5, le=1, description="Quantile of positive weights; larger weights are clipped to it."
    )
    least_effective: float = Field(20.0, ge=1, description="Warn below this effective number of users.")
    reach: float = Field(
        0.02,
        gt=0,
        le=1,
        description="A choice is supported if one logged step of it has at most this share of the total weight.",
    )
    least_support: float = Field(0.8, ge=0, le=1, description="Warn below this share of supported choices.")
    weight_bounds: tuple[float, float] = Field(
        (0.5, 2.0), description="Warn if the mean weight is significantly outside these bounds; its expectation is 1."
    )
    most_correction: float = Field(
        0.03, ge=0, le=1, description="Warn if |DR - DM|, as a share of the rating scale, is significantly larger."
    )
    features: FeatureConfig = Field(FeatureConfig(), description="The features of all models.")
    max_items: int = Field(
        4000, ge=10, le=50_000, description="Number of most frequent items for which item-to-item counts are kept."
    )
    training_events: int = Field(
        1_000_000, ge=100, description="Number of events, about, that the features are counted on, at most."
    )
    calibration_steps: int = Field(
        1000, ge=10, description="Number of validation steps, at most, that the behaviour policy is fitted to."
    )
    draws: int = Field(500, ge=20, le=100_000, description="Bootstrap draws of users.")
    seed: int = Field(0, ge=0, description="Seed of all random draws.")


@dataclass(frozen=True)
class EvaluatedPolicy:
    """A method's estimates, the share of its choices that the log supports, and its true value if that is known."""

    estimates: Estimates
    support: float
    true_value: float | None


@dataclass(frozen=True)
class OffPolicyResult:
    """All results; values in rewards.

    Attributes:
        users: their number.
        steps: their number.
        logged: the value of the users' own choices.
        perplexities: of the fitted behaviour policy, of popularity and of the uniform distribution over unseen items on test
            users' choices: the exponential of the mean of -log probability; lower is better.
        evaluated: by method its estimates.
    """

    users: int
    steps: int
    logged: Value
    perplexities: tuple[float, float, float]
    evaluated: dict[str, EvaluatedPolicy]


def evaluate_off_policy(
    dataset: TransitionDataset,
    scorers: Mapping[str, Scorer],
    params: OffPolicyParams,
    truth: TrueRewards | None = None,
    log_propensities: LogPropensities | None = None,
) -> OffPolicyResult | None:
    """Estimate every method's value on the last steps of test users; None without test or validation steps.

    Features are fitted on training users, the behaviour policy's weights on validation users. The reward model and Q, linear
    in few features, are cross-fitted on the two halves of the test users.

    Args:
        dataset: on the CPU.
        scorers: by name.
        params: of the estimators and their warnings.
        truth: the true mean rewards, if known.
        log_propensities: of the choices, where they are known; None: those of the fitted behaviour policy.
    """
    most = max(1, min(params.calibration_steps, CALIBRATION_CELLS // int(dataset.items)))
    fitting = fresh(dataset, at_most(dataset.last_starts("validation", 20), most, params.seed))
    starts = fresh(dataset, evaluated_starts(dataset, params))
    if len(fitting) == 0 or len(starts) == 0:
        return None
    features = Features(params.features, capped(training_data(dataset, params.max_items), params), params.seed)
    known = Histories(*dataset.histories(fitting))
    behaviour = fit_behaviour(features.of(known), seen_items(known.items, dataset.items), dataset.target_items(fitting))
    walk = _Walk(dataset, features, behaviour, starts, params, truth, log_propensities)
    for rows in walk.blocks():
        walk.visit(rows, scorers)
    counts = user_draws(walk.users, params.draws, params.seed)
    logged = walk.logged()
    evaluated = {}
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
        evaluated[name] = EvaluatedPolicy(found, float(logged.by_user(taken.support).mean()), true)
    perplexities = np.exp(-logged.by_user(walk.log_likelihood).mean(0))
    return OffPolicyResult(
        walk.users, len(starts), logged_value(logged, counts), tuple(perplexities.tolist()), evaluated
    )


def evaluated_starts(dataset: TransitionDataset, params: OffPolicyParams) -> Tensor:
    """The evaluated steps: consecutive last steps of some test users, (T,) int64."""
    starts = dataset.last_starts("test", params.steps_per_user)
    users = dataset.users_of(starts)
    return starts[torch.isin(users, at_most(users.unique(), params.users, params.seed))]


def fresh(dataset: TransitionDataset, starts: Tensor) -> Tensor:
    """The starts whose action is an item not rated before; only such items are recommended, so only they can be evaluated."""
    if len(starts) == 0:
        return starts
    kept = [
        (dataset.histories(part)[0] != dataset.target_items(part).unsqueeze(1)).all(1) for part in starts.split(1024)
    ]
    return starts[torch.cat(kept)]


def capped(data: TrainingData, params: OffPolicyParams) -> TrainingData:
    """The events of random training users, about `params.training_events` in total."""
    share = params.training_events / len(data.users)
    if share >= 1:
        return data
    people = data.users.unique()
    rows = torch.isin(data.users, at_most(people, max(1, int(share * len(people))), params.seed))
    return TrainingData(
        data.users[rows], data.items[rows], data.rewards[rows], data.times[rows], data.embedding, data.max_items
    )


def chances(scores: Tensor, seen: Tensor, params: OffPolicyParams) -> tuple[Tensor, Tensor]:
    """π: the items of each list, (B, C) int64, best first, and the probability that each is drawn, (B, C).

    Raises:
        LearnerError: a score is NaN.
    """
    items = top_items(scores.masked_fill(seen, -torch.inf), min(params.depth, scores.shape[1]))
    place = torch.arange(1, items.shape[1] + 1, dtype=torch.float32)
    taken = place**-params.steepness * ~seen.gather(1, items)  # a list longer than the unseen items ends with seen ones
    return items, taken / taken.sum(1, keepdim=True).clamp_min(1e-12)


class _Taken:
    """The choices of one method at T steps."""

    def __init__(self, steps: int) -> None:
        self.weights = np.zeros(steps)  # (T,) π / μ of the logged choice
        self.expected = np.zeros((steps, len(NAMES)))  # (T, F) Σ_a π φ
        self.support = np.zeros(steps)  # (T,) Σ_a π of supported choices
        self.true = np.zeros(steps)  # (T,) Σ_a π r


class _Walk:
    """Visits all states once, a block of rows at a time, and computes the features of all items once for all methods."""

    def __init__(
        self,
        dataset: TransitionDataset,
        features: Features,
        behaviour: Behaviour,
        starts: Tensor,
        params: OffPolicyParams,
        truth: TrueRewards | None,
        log_propensities: LogPropensities | None,
    ) -> None:
        self.dataset, self.features, self.behaviour, self.params = dataset, features, behaviour, params
        self.starts, self.truth, self.log_propensities = starts, truth, log_propensities
        self.targets = dataset.target_items(starts)
        self.user_rows = dataset.users_of(starts)
        self.users = len(self.user_rows.unique())
        self.reach = len(starts) * params.reach  # the largest weight of a supported choice
        self.chosen = np.zeros((len(starts), len(NAMES)))
        self.log_likelihood = np.zeros((len(starts), 3))
        self.taken: dict[str, _Taken] = {}

    def blocks(self) -> tuple[Tensor, ...]:
        """Blocks of rows with histories of similar length, to pad little."""
        known = self.starts - self.dataset.offset[self.user_rows]
        size = max(1, min(256, CELLS_AT_ONCE // int(self.dataset.items)))
        return tuple(torch.split(known.argsort(stable=True), size))

    def visit(self, rows: Tensor, scorers: Mapping[str, Scorer]) -> None:
        """Fill these rows for the behaviour policy and all methods."""
        at = rows.numpy()  # NumPy takes a tensor of one number for a scalar index
        histories = Histories(*self.dataset.histories(self.starts[rows]))
        seen = seen_items(histories.items, self.dataset.items)
        features = self.features.of(histories)
        known = self.log_propensities
        log_mu = known(histories) if known else self.behaviour.log_probabilities(features, seen)
        target, place = self.targets[rows].unsqueeze(1), torch.arange(len(rows)).unsqueeze(1)
        log_own = log_mu.gather(1, target)
        popularity = self.features.share.log().masked_fill(seen, -torch.inf).log_softmax(1)
        uniform = -(~seen).sum(1, keepdim=True).float().log()
        self.log_likelihood[at] = torch.cat((log_own, popularity.gather(1, target), uniform), 1).double().numpy()
        self.chosen[at] = features[place, target].squeeze(1).double().numpy()
        true = None if self.truth is None else torch.from_numpy(self.truth(self.starts[rows]))
        for name, scorer in scorers.items():
            taken = self.taken.setdefault(name, _Taken(len(self.starts)))
            items, chance = chances(scorer.scores(histories), seen, self.params)
            own = (chance * (items == target)).sum(1)
            within = (chance.log() - log_mu.gather(1, items)).exp() <= self.reach
            taken.weights[at] = (own / log_own.squeeze(1).exp()).double().numpy()
            taken.expected[at] = torch.einsum("bc,bcf->bf", chance, features[place, items]).double().numpy()
            taken.support[at] = (chance * within).sum(1).double().numpy()
            if true is not None:
                taken.true[at] = (chance * true.gather(1, items)).sum(1).double().numpy()

    def logged(self) -> LoggedSteps:
        """The logged steps."""
        users = torch.unique_consecutive(self.user_rows, return_inverse=True)[1]
        following = (self.starts[1:] == self.starts[:-1] + 1) & (users[1:] == users[:-1])
        rewards: Doubles = self.dataset.target_rewards(self.starts).double().numpy()
        return LoggedSteps(users.numpy(), self.chosen, rewards, np.append(following.numpy(), False))
