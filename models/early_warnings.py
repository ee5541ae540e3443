"""Early warnings: signs in a run's metrics that training goes wrong."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

VALIDATIONS = 4  # in a row, for growth and overfitting: fewer would take noise for a trend
GROWTH = 1.5  # from one validation to the next
SHARE_SATURATED = 0.5
LEAST_COSINE = 0.01  # mean distance among actions
LEAST_RANK = 1.1

Row = tuple[int, str, str, float]  # step, split, metric, value


class EarlyWarning(NamedTuple):
    """One warning."""

    kind: str
    step: int
    message: str


class Limits(NamedTuple):
    """Bounds of a healthy run."""

    lowest_return: float  # of an episode, discounted
    highest_return: float
    criterion: str  # the validation metric that chooses the policy
    criterion_sign: float  # 1 if higher is better, else -1


def early_warnings(rows: Sequence[Row], limits: Limits) -> list[EarlyWarning]:
    """The warnings of a metrics table up to its last validation, at most one of each kind."""
    found = (values_explode(rows, limits), policy_overfits(rows, limits), actor_saturates(rows), actions_collapse(rows))
    return [warning for warning in found if warning is not None]


def checks_made(rows: Sequence[Row]) -> list[str]:
    """The kinds of warning that a metrics table holds enough rows for."""

    def validations(metric: str) -> int:
        return len(series(rows, "validation", metric))

    enough = {
        "values-explode": validations("value_policy") > 0,
        "policy-overfits": validations("actor_loss") > VALIDATIONS and len(series(rows, "train", "actor_loss")) > 0,
        "actor-saturates": validations("action_saturation") > 0,
        "actions-collapse": validations("action_cosine_among") > 2,  # the first does not count, see below
    }
    return [kind for kind, there in enough.items() if there]


def series(rows: Sequence[Row], split: str, metric: str) -> list[tuple[int, float]]:
    """(step, value) of a metric, in order."""
    return [(step, value) for step, where, name, value in rows if where == split and name == metric]


def values_explode(rows: Sequence[Row], limits: Limits) -> EarlyWarning | None:
    """The policy's value is outside the possible returns, or grows geometrically."""
    values = series(rows, "validation", "value_policy")
    if not values:
        return None
    step, value = values[-1]
    if not limits.lowest_return <= value <= limits.highest_return:
        bounds = f"{limits.lowest_return:.4g} to {limits.highest_return:.4g}"
        text = f"the policy's mean value is {value:.4g}; returns are within {bounds}. The critic overestimates."
        return EarlyWarning("values-explode", step, text)
    last = [abs(value) for _, value in values[-VALIDATIONS - 1 :]]
    # Values that start at 0 grow fast at first.
    floor = max(abs(limits.lowest_return), abs(limits.highest_return)) / 100
    if len(last) > VALIDATIONS and last[0] > floor and all(b > GROWTH * a for a, b in pairwise(last)):
        text = f"the policy's mean value grew {GROWTH:g}-fold or more at each of {VALIDATIONS} validations, to {value:.4g}."
        return EarlyWarning("values-explode", step, text)
    return None


def policy_overfits(rows: Sequence[Row], limits: Limits) -> EarlyWarning | None:
    """The policy's loss falls on training users while it worsens on validation users, in several validations in a row."""
    steps = [step for step, _ in series(rows, "validation", "actor_loss")][-VALIDATIONS - 1 :]
    train = series(rows, "train", "actor_loss")
    # The last logged before each validation.
    losses = [[value for at, value in train if at <= step][-1:] for step in steps]
    if len(steps) <= VALIDATIONS or not all(losses) or not strictly_falls([loss for (loss,) in losses]):
        return None
    for metric, sign in (("actor_loss", -1.0), (limits.criterion, limits.criterion_sign)):
        held_out = [sign * value for _, value in series(rows, "validation", metric)][-VALIDATIONS - 1 :]
        if strictly_falls(held_out):
            text = f"in {VALIDATIONS} validations in a row the policy's loss fell on training and {metric} worsened on validation users."
            return EarlyWarning("policy-overfits", steps[-1], text)
    return None


def actor_saturates(rows: Sequence[Row]) -> EarlyWarning | None:
    """Most coordinates of the policy's actions are at their bound, where a tanh has almost no gradient."""
    shares = series(rows, "validation", "action_saturation")
    if not shares or shares[-1][1] <= SHARE_SATURATED:
        return None
    step, share = shares[-1]
    return EarlyWarning("actor-saturates", step, f"{share:.0%} of the actions' coordinates are at their bound.")


def actions_collapse(rows: Sequence[Row]) -> EarlyWarning | None:
    """The policy's actions are nearly the same in all states, not only at the start of training."""
    cosines = series(rows, "validation", "action_cosine_among")
    ranks = series(rows, "validation", "action_effective_rank")
    # An untrained network gives nearly the same action in all states.
    last = list(zip(cosines, ranks, strict=True))[1:][-2:]
    if len(last) < 2 or not all(cosine < LEAST_COSINE or rank < LEAST_RANK for (_, cosine), (_, rank) in last):
        return None
    (step, cosine), (_, rank) = last[-1]
    text = (
        f"the policy's actions are nearly the same: mean cosine {1 - cosine:.3f} among them, effective rank {rank:.2f}."
    )
    return EarlyWarning("actions-collapse", step, text)


def strictly_falls(values: Sequence[float]) -> bool:
    """Whether there are two values or more, each below the one before."""
    return len(values) > 1 and all(b < a for a, b in pairwise(values))
