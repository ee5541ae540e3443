"""What recommendations would be worth: off-policy estimates of every method, and which of them to trust."""

import math
from collections.abc import Callable, Collection, Mapping

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.off_policy.estimates import JudgedPolicy, OffPolicyParams, judge_off_policy
from evaluation.report.figures import BASELINE_COLOUR, coloured, finished
from evaluation.report.page import Chart
from evaluation.report.sections.section import Section
from models.histories import Scorer
from models.off_policy.estimators import Estimates, Value
from storage.dataset.reader import TransitionDataset
from storage.dataset.scale import RatingScale

ESTIMATORS = {
    "doubly_robust": "doubly robust (DR)",
    "importance": "weighting (SNIPS)",
    "direct": "reward model (DM)",
    "fitted_q": "several steps (FQE)",
}


class Interval(Section):
    """An estimate on the scale of the ratings, and its 95 % interval by bootstrap over users."""

    value: float | None
    low: float | None
    high: float | None


class PolicyValue(Section):
    """One method's estimates, what tells whether to trust them, and its true value where that is known."""

    name: str
    baseline: bool
    direct: Interval
    fitted_q: Interval
    importance: Interval
    doubly_robust: Interval
    correction: Interval  # doubly robust less direct
    effective_users: float  # effective sample size of the weights in use
    effective_steps: float  # of unclipped weights
    effective_two_steps: float
    mean_weight: float
    clip: float
    clipped: float  # share of all weight that clipping took away
    support: float  # share of its choices within the log's reach
    true_value: float | None  # of one step, on generated data
    warning: str | None


class OffPolicySection(Section):
    """Values on the scale of the ratings: reward = reward_scale * rating + reward_offset."""

    params: OffPolicyParams
    reward_scale: float
    reward_offset: float
    users: int
    steps: int
    logged: Interval | None  # mean rating of what test users chose themselves
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
    truth: NDArray[np.float32] | None = None,
    show: Callable[[str], None] = lambda _: None,
) -> OffPolicySection:
    """Estimate the value of every method from test users' ratings; without test or validation users, of none.

    Args:
        dataset: on the CPU.
        scorers: policies and baselines by name.
        params: how.
        baselines: which of the names are baselines.
        truth: (U, I) true mean rewards by the dataset's users and items, of `storage.sources.sample.truth.true_rewards`.
        show: called with every name when it is done.
    """
    found = judge_off_policy(dataset, scorers, params, truth, show)
    facts = {
        "params": params,
        "reward_scale": dataset.scale.reward_scale,
        "reward_offset": dataset.scale.reward_offset,
    }
    if found is None:
        return OffPolicySection(
            **facts,
            users=0,
            steps=0,
            logged=None,
            perplexity=None,
            perplexity_popularity=None,
            perplexity_uniform=None,
            policies=(),
        )
    return OffPolicySection(
        **facts,
        users=found.users,
        steps=found.steps,
        logged=_interval(found.logged, dataset.scale),
        perplexity=found.fit.perplexity,
        perplexity_popularity=found.fit.popularity,
        perplexity_uniform=found.fit.uniform,
        policies=tuple(
            _policy_value(name, name in baselines, judged, params, dataset.scale)
            for name, judged in found.judged.items()
        ),
    )


def warning(estimates: Estimates, support: float, params: OffPolicyParams, scale: RatingScale) -> str | None:
    """In plain words why a method's estimates cannot be trusted; None where nothing speaks against them."""
    said = []
    if estimates.effective_users < params.least_effective:
        said.append(
            f"Few users chose what it recommends: weighting rests on {estimates.effective_users:.0f} users' worth of "
            f"evidence, fewer than {params.least_effective:g}."
        )
    if support < params.least_support:
        said.append(
            f"{1 - support:.0%} of what it recommends is so seldom chosen by such users that the log says nothing of "
            "it: only the reward model speaks for that."
        )
    mean, low, high = estimates.mean_weight
    if not params.weight_bounds[0] <= mean <= params.weight_bounds[1] and not low <= 1 <= high:
        said.append(
            f"Its weights are {mean:.2f} on average and should be 1: users' own choices of what it recommends are "
            f"{'more' if mean > 1 else 'less'} frequent than the behaviour model foresees."
        )
    correction, low, high = (bound / scale.reward_scale for bound in estimates.correction)
    if abs(correction) > params.most_correction * (scale.highest - scale.lowest) and not low <= 0 <= high:
        said.append(
            f"The reward model is wrong about it: what users chose of it they rated {abs(correction):.2f} "
            f"{'higher' if correction > 0 else 'lower'} than foreseen, which DM and FQE do not know."
        )
    return " ".join(said) or None


def _policy_value(
    name: str, baseline: bool, judged: JudgedPolicy, params: OffPolicyParams, scale: RatingScale
) -> PolicyValue:
    estimates = judged.estimates
    true = judged.true_value
    return PolicyValue(
        name=name,
        baseline=baseline,
        direct=_interval(estimates.direct, scale),
        fitted_q=_interval(estimates.fitted_q, scale),
        importance=_interval(estimates.importance, scale),
        doubly_robust=_interval(estimates.doubly_robust, scale),
        correction=_difference(estimates.correction, scale),
        effective_users=estimates.effective_users,
        effective_steps=estimates.effective_steps,
        effective_two_steps=estimates.effective_two_steps,
        mean_weight=estimates.mean_weight.value,
        clip=estimates.clip,
        clipped=estimates.clipped,
        support=judged.support,
        true_value=None if true is None else _rating(true, scale),
        warning=warning(estimates, judged.support, params, scale),
    )


def _rating(reward: float, scale: RatingScale) -> float:
    return (reward - scale.reward_offset) / scale.reward_scale


def _interval(value: Value, scale: RatingScale) -> Interval:
    if math.isnan(value.value):
        return Interval(value=None, low=None, high=None)
    return Interval(**{name: _rating(number, scale) for name, number in value._asdict().items()})


def _difference(value: Value, scale: RatingScale) -> Interval:
    return _interval(Value(*(number + scale.reward_offset for number in value)), scale)


def charts(section: OffPolicySection) -> list[Chart]:
    """Every method's estimates with intervals, a panel per estimator."""
    if section.logged is None:
        return []
    rows = [
        {
            "method": policy.name,
            "estimator": shown,
            "trusted": policy.warning is None,
            "true": policy.true_value if field != "fitted_q" else None,
            "logged": section.logged.value,
            **getattr(policy, field).model_dump(),
        }
        for policy in section.policies
        for field, shown in ESTIMATORS.items()
    ]
    data = pd.DataFrame(rows).astype({"true": float, "value": float, "low": float, "high": float}).round(4)
    names = [policy.name for policy in section.policies]
    learnt = coloured(pd.Series([policy.name for policy in section.policies if not policy.baseline], dtype=object))
    others = [policy.name for policy in section.policies if policy.baseline]
    scale = alt.Scale(domain=learnt.domain + others, range=learnt.range + [BASELINE_COLOUR] * len(others))
    base = alt.Chart(data).encode(
        y=alt.Y("method:N", title=None, sort=names),
        color=alt.Color("method:N", scale=scale, legend=None),
        opacity=alt.condition("datum.trusted", alt.value(1.0), alt.value(0.4)),
    )
    x = alt.X("value:Q", title="mean rating", scale=alt.Scale(zero=False))
    told = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")]
    logged = alt.Chart(data).mark_rule(strokeDash=[3, 3], color="#808890").encode(x="mean(logged):Q")
    marks = [
        logged,
        base.mark_rule(strokeWidth=1.6).encode(x=alt.X("low:Q", title="mean rating"), x2="high:Q"),
        base.mark_circle(size=46).encode(x=x, tooltip=["method:N", "estimator:N", *told]),
    ]
    if any(policy.true_value is not None for policy in section.policies):
        true = base.mark_tick(thickness=2, size=13).encode(
            x="true:Q",
            color=alt.value("#d65f5f"),
            opacity=alt.value(1.0),
            tooltip=["method:N", alt.Tooltip("true:Q", format=".3f")],
        )
        marks.append(true)
    spec = finished(
        alt.layer(*marks)
        .properties(width=170, height=max(80, 19 * len(names)))
        .facet(facet=alt.Facet("estimator:N", sort=list(ESTIMATORS.values()), title=None), columns=4)
    )
    note = "Points with 95 % intervals over users; pale: not to be trusted. Dashed: what users chose themselves."
    if len(marks) == 4:
        note += " Red ticks: the true value, known since the data is generated."
    return [("off-policy", "Estimated mean rating of what is recommended", note, spec)]
