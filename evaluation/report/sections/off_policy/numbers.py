"""Off-policy estimates of the value of every method's recommendations, with warnings about unreliable estimates."""

import math
from collections.abc import Collection, Mapping

from evaluation.off_policy.estimates import EvaluatedPolicy, OffPolicyParams, TrueRewards, evaluate_off_policy
from evaluation.record import Record
from models.histories import Scorer
from models.off_policy.estimators import Estimates, Value
from storage.dataset.reader import TransitionDataset
from storage.dataset.scale import RatingScale, RewardMap


class Interval(Record):
    """An estimate on the scale of the ratings, and its 95 % interval by bootstrap over users."""

    value: float | None
    low: float | None
    high: float | None


class PolicyValue(Record):
    """One method's estimates, the diagnostics of their reliability, and its true value if that is known."""

    name: str
    baseline: bool
    direct: Interval
    fitted_q: Interval
    importance: Interval
    doubly_robust: Interval
    correction: Interval  # doubly robust minus direct
    effective_users: float  # effective sample size of the clipped weights
    effective_steps: float  # of unclipped weights
    effective_two_steps: float
    mean_weight: float
    clip: float
    clipped: float  # share of the total weight that clipping removes
    support: float  # share of its choices that the log supports
    true_value: float | None  # of one step, on generated data
    warning: str | None


class OffPolicySection(Record):
    """Values on the scale of the ratings: reward = reward_scale * rating + reward_offset."""

    params: OffPolicyParams
    reward_scale: float
    reward_offset: float
    users: int
    steps: int
    logged: Interval | None  # mean rating of the items that test users chose themselves
    perplexity: float | None  # of the behaviour policy on test users' choices
    perplexity_popularity: float | None
    perplexity_uniform: float | None
    policies: tuple[PolicyValue, ...]


def measure_off_policy(
    dataset: TransitionDataset,
    scorers: Mapping[str, Scorer],
    params: OffPolicyParams,
    *,
    baselines: Collection[str] = (),
    truth: TrueRewards | None = None,
) -> OffPolicySection:
    """Estimate the value of every method from test users' ratings; no method without test or validation users.

    Args:
        dataset: on the CPU.
        scorers: policies and baselines by name.
        params: of the estimators and their warnings.
        baselines: which of the names are baselines.
        truth: the true mean rewards, if known, such as `SimulatedDataset.true_rewards`.
    """
    found = evaluate_off_policy(dataset, scorers, params, truth)
    facts = {"params": params, "reward_scale": dataset.reward.scale, "reward_offset": dataset.reward.offset}
    if found is None:
        return OffPolicySection(
            **facts,
            users=0, steps=0, logged=None, perplexity=None, perplexity_popularity=None, perplexity_uniform=None, policies=(),
        )  # fmt: skip
    perplexity, of_popularity, of_uniform = found.perplexities
    return OffPolicySection(
        **facts,
        users=found.users,
        steps=found.steps,
        logged=_interval(found.logged, dataset.reward),
        perplexity=perplexity,
        perplexity_popularity=of_popularity,
        perplexity_uniform=of_uniform,
        policies=tuple(
            _policy_value(name, name in baselines, evaluated, params, dataset)
            for name, evaluated in found.evaluated.items()
        ),
    )


def warning(
    estimates: Estimates, support: float, params: OffPolicyParams, scale: RatingScale, reward: RewardMap
) -> str | None:
    """Why a method's estimates are unreliable; None if no check fails."""
    said = []
    if estimates.effective_users < params.least_effective:
        said.append(
            f"Few users chose the items it recommends: the effective number of users is {estimates.effective_users:.0f}, "
            f"below {params.least_effective:g}."
        )
    if support < params.least_support:
        said.append(
            f"{1 - support:.0%} of its recommendations are chosen so rarely in these states that the log has no evidence about "
            "them: their estimate rests on the reward model alone."
        )
    mean, low, high = estimates.mean_weight
    if not params.weight_bounds[0] <= mean <= params.weight_bounds[1] and not low <= 1 <= high:
        said.append(
            f"Its mean weight is {mean:.2f} and should be 1: users choose the items it recommends "
            f"{'more' if mean > 1 else 'less'} often than the behaviour model predicts."
        )
    correction, low, high = (bound / reward.scale for bound in estimates.correction)
    if abs(correction) > params.most_correction * (scale.highest - scale.lowest) and not low <= 0 <= high:
        said.append(
            f"The reward model is biased for it: users rated the recommended items that they chose {abs(correction):.2f} "
            f"{'higher' if correction > 0 else 'lower'} than predicted, which DM and FQE do not correct."
        )
    return " ".join(said) or None


def _policy_value(
    name: str, baseline: bool, evaluated: EvaluatedPolicy, params: OffPolicyParams, dataset: TransitionDataset
) -> PolicyValue:
    reward, true = dataset.reward, evaluated.true_value
    numbers = {
        field: _interval(value, reward) if isinstance(value, Value) else value
        for field, value in vars(evaluated.estimates).items()
    } | {
        "correction": _difference(evaluated.estimates.correction, reward),
        "mean_weight": evaluated.estimates.mean_weight.value,
    }
    return PolicyValue(
        name=name,
        baseline=baseline,
        **numbers,
        support=evaluated.support,
        true_value=None if true is None else _rating(true, reward),
        warning=warning(evaluated.estimates, evaluated.support, params, dataset.scale, reward),
    )


def _rating(value: float, reward: RewardMap) -> float:
    return (value - reward.offset) / reward.scale


def _interval(value: Value, reward: RewardMap) -> Interval:
    if math.isnan(value.value):
        return Interval(value=None, low=None, high=None)
    return Interval(**{name: _rating(number, reward) for name, number in value._asdict().items()})


def _difference(value: Value, reward: RewardMap) -> Interval:
    return _interval(Value(*(number + reward.offset for number in value)), reward)
