"""Values of one policy by four estimators, with intervals over users and diagnostics of their reliability."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.off_policy.fitted_q import Doubles, LoggedSteps, drawn, folds, q_sums, q_weights


class Value(NamedTuple):
    """An estimate in rewards and its 95 % interval; NaN if none of the policy's choices was logged."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimates:
    """The estimates of one policy.

    Attributes:
        direct: DM, one step.
        fitted_q: FQE, the discounted mean of `horizon` steps.
        importance: SNIPS, one step.
        doubly_robust: DR, one step.
        correction: DR - DM, the weighted mean of the reward model's errors.
        effective_users: Kish's effective sample size (Σw)² / Σw² of the users' weights in SNIPS and DR.
        effective_steps: the same of unclipped weights of single steps.
        effective_two_steps: the same of products of two neighbouring ones.
        mean_weight: of unclipped weights; 1 up to chance if μ is right and covers π.
        clip: larger weights are clipped to it.
        clipped: fraction of the sum of weights removed by clipping.
    """

    direct: Value
    fitted_q: Value
    importance: Value
    doubly_robust: Value
    correction: Value
    effective_users: float
    effective_steps: float
    effective_two_steps: float
    mean_weight: Value
    clip: float
    clipped: float


def user_draws(users: int, draws: int, seed: int) -> Doubles:
    """How often each user is drawn, (1 + draws, U): the first row all ones, then bootstrap draws with replacement."""
    counts = np.random.default_rng(seed).multinomial(users, np.full(users, 1 / users), size=draws)
    return np.concatenate((np.ones((1, users)), counts))


def estimate(
    logged: LoggedSteps,
    weights: Doubles,
    expected: Doubles,
    counts: Doubles,
    *,
    clip_quantile: float,
    discount: float,
    horizon: int,
) -> Estimates:
    """Estimate a policy's value from the log of another.

    The reward model and Q are applied to users that they were not fitted on: those of each fold are fitted on all other folds
    (cross-fitting, Chernozhukov et al. 2018). Intervals are percentiles over bootstrap draws of users, with all regressions
    fit again in each (Hao et al. 2021); features and μ, fitted on other users, are taken as given.

    Args:
        logged: T steps of U users.
        weights: (T,) π(a | h) / μ(a | h) of the logged choices.
        expected: (T, F) features as π would choose, Σ_a π(a | h) φ(h, a).
        counts: of `user_draws`.
        clip_quantile: of the positive weights; larger ones are clipped to it.
        discount: γ.
        horizon: H.
    """
    positive = weights[weights > 0]
    clip = float(np.quantile(positive, clip_quantile)) if len(positive) else 0.0
    kept = np.minimum(weights, clip)
    sums = q_sums(logged, expected)
    people = counts.sum(1)
    by_user = logged.by_user(kept)
    weight, reward = drawn(counts, by_user), drawn(counts, logged.by_user(kept * logged.rewards))
    met = logged.by_user(kept[:, None] * logged.features)
    direct, later, modelled = np.zeros((3, len(counts)))
    for fold in folds(counts.shape[1]):
        mine, others = counts * fold, counts * ~fold
        first, last = q_weights(others, sums, discount, horizon)
        start = drawn(mine, sums.start) / people[:, None]  # (draws, F)
        direct += (start * first).sum(1)
        later += (start * last).sum(1)
        modelled += (drawn(mine, met) * first).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        importance, correction = reward / weight, (reward - modelled) / weight
    pairs = (weights[:-1] * weights[1:])[logged.followed[:-1]]
    return Estimates(
        direct=_value(direct),
        fitted_q=_value(later / (discount ** np.arange(horizon)).sum()),
        importance=_value(importance),
        doubly_robust=_value(direct + correction),
        correction=_value(correction),
        effective_users=effective_sample_size(by_user),
        effective_steps=effective_sample_size(weights),
        effective_two_steps=effective_sample_size(pairs),
        mean_weight=_value(drawn(counts, logged.by_user(weights)) / people),
        clip=clip,
        clipped=float(1 - kept.sum() / weights.sum()) if len(positive) else 0.0,
    )


def logged_value(logged: LoggedSteps, counts: Doubles) -> Value:
    """The mean of logged rewards over users: the value of the log's own choices."""
    return _value(drawn(counts, logged.by_user(logged.rewards)) / counts.sum(1))


def effective_sample_size(weights: Doubles) -> float:
    """(Σw)² / Σw² (Kish 1965): the number of equally weighted observations with the same variance; 0 if all weights are 0."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def _value(draws: Doubles) -> Value:
    """The first of `draws` is the estimate, the others its bootstrap; draws without any weight are left out."""
    told: NDArray[np.float64] = draws[1:][np.isfinite(draws[1:])]
    if not np.isfinite(draws[0]) or not len(told):
        return Value(float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(told, (0.025, 0.975))
    return Value(float(draws[0]), float(low), float(high))
