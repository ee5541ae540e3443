"""The critics' part in what the challenger ranks: how many items they change, and what that gains on the same users."""

import numpy as np
from pydantic import Field

from evaluation.protocols.beyond_accuracy import later_ratings
from evaluation.protocols.cases import Cases
from evaluation.protocols.metrics import accuracy_per_user
from evaluation.protocols.per_user import PerUser, mean_by_user
from evaluation.protocols.ranking import Ranked, rank_cases
from evaluation.protocols.statistics import mean_interval
from evaluation.record import Record
from evaluation.report.formats import signed
from evaluation.report.sections.environment.numbers import WithoutCritics
from models.critic_weight import without_critics
from models.histories import Scorer
from models.ranking_policy import RankingPolicy
from storage.dataset.reader import TransitionDataset

DEPTH = 10


class Effect(Record):
    """One quantity with the critics and without them, a mean over test users."""

    quantity: str
    value: float = Field(description="With the critics.")
    without: float
    difference: float = Field(description="Over the users who have both values.")
    low: float = Field(description="Lower end of its 95 % interval, by the paired bootstrap over users.")
    high: float = Field(description="Upper end of it.")


class CriticsPart(Record):
    """What the critics of the challenger do to its ranking."""

    policy: str
    weights: dict[str, float] = Field(
        description="Of the terms of its scores and of the critics, if the scores are a weighted sum."
    )
    changed: float | None = Field(description="Share of the first ten items that it would not recommend without them.")
    effects: tuple[Effect, ...]
    sentence: str


def measure_critics(
    data: TransitionDataset, name: str, policy: Scorer, cases: Cases, returns: WithoutCritics | None = None
) -> CriticsPart:
    """Rank next items with a policy's critics and without them.

    Args:
        data: of the cases.
        name: of the policy.
        policy: with critics that re-rank, or without.
        cases: next items of test users.
        returns: of the policy with simulated users, with its critics and without them, if they were measured.
    """
    weights = {}
    if isinstance(policy, RankingPolicy):
        weights = policy.weights[policy.question].model_dump()
    without = without_critics(policy)
    if without is None:
        return CriticsPart(policy=name, weights=weights, changed=None, effects=(), sentence=no_part(name, policy))
    mine, theirs = (rank_cases(data, one, cases, DEPTH) for one in (policy, without))
    accuracy = [accuracy_per_user(one, (DEPTH,)) for one in (mine, theirs)]
    ratings = [ratings_per_user(data, cases, one) for one in (mine, theirs)]
    effects = [effect("NDCG@10 of the next item", accuracy[0], accuracy[1], "ndcg@10")]
    if len(np.intersect1d(ratings[0].users, ratings[1].users)):
        effects.append(effect("mean later rating of recommended items", ratings[0], ratings[1], "rating"))
    if returns is not None:
        effects.append(Effect(quantity="return with simulated users", **returns.model_dump(exclude={"policy"})))
    changed = changed_share(mine, theirs)
    return CriticsPart(
        policy=name,
        weights=weights,
        changed=changed,
        effects=tuple(effects),
        sentence=what_critics_add(name, changed, effects),
    )


def changed_share(with_critics: Ranked, without: Ranked) -> float:
    """The share of recommended items that the other ranking of the same case does not have."""
    there = (with_critics.best[:, :, None] == without.best[:, None, :]).any(2)
    return float(1 - there[with_critics.best >= 0].mean())


def ratings_per_user(data: TransitionDataset, cases: Cases, ranked: Ranked) -> PerUser:
    """The mean rating, in stars, that each user later gave to items that were recommended; users without one are left out."""
    case, ratings = later_ratings(data, cases, ranked.best)
    return mean_by_user(ranked.users[case], {"rating": ratings})


def effect(quantity: str, with_critics: PerUser, without: PerUser, metric: str) -> Effect:
    """The difference of a metric, paired by user."""
    _, mine, theirs = np.intersect1d(with_critics.users, without.users, return_indices=True)
    values, others = with_critics.column(metric)[mine], without.column(metric)[theirs]
    difference, low, high = mean_interval(values - others, seed=0)
    return Effect(
        quantity=quantity,
        value=float(np.mean(values)),
        without=float(np.mean(others)),
        difference=difference,
        low=low,
        high=high,
    )


def no_part(name: str, policy: Scorer) -> str:
    """The sentence about a policy whose critics order nothing."""
    if isinstance(policy, RankingPolicy) and policy.params.critic_candidates > 0:
        return f"Tuning on validation users gave the critics of {name} no weight: they have no part in what it ranks."
    return f"No critics re-rank what {name} ranks."


def what_critics_add(name: str, changed: float, effects: list[Effect]) -> str:
    """What the critics change and gain, in words."""
    found = [
        f"{one.quantity} {signed(one.difference)} (95 % interval {signed(one.low)} to {signed(one.high)})"
        for one in effects
    ]
    begin = (
        f"The critics of {name} change {100 * changed:.0f} % of the first {DEPTH} items. With them: {'; '.join(found)}."
    )
    gains = [one.quantity for one in effects if one.low > 0]
    losses = [one.quantity for one in effects if one.high < 0]
    said = f"a gain in {' and '.join(gains)}" if gains else "no gain that can be told from chance"
    lost = f", and a loss in {' and '.join(losses)}" if losses else ""
    return f"{begin} That is {said}{lost}."
