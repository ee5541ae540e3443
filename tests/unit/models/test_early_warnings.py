from collections.abc import Sequence

import pytest

from models.early_warnings import EarlyWarning, Limits, Row, checks_made, early_warnings

LIMITS = Limits(-400.0, 500.0, "ndcg@10", 1.0)
HEALTHY: dict[str, Sequence[float]] = {
    "validation value_policy": [0.1, 2, 8, 20, 34, 45, 52, 55],
    "validation actor_loss": [-0.1, -2, -8, -20, -34, -45, -52, -55],
    "train actor_loss": [-0.1, -3, -9, -22, -36, -47, -54, -57],
    "validation ndcg@10": [0.01, 0.02, 0.03, 0.03, 0.04, 0.05, 0.045, 0.05],
    "validation action_saturation": [0.0, 0.0, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2],
    "validation action_cosine_among": [0.001, 0.3, 0.4, 0.5, 0.5, 0.6, 0.6, 0.6],  # all actions alike at first
    "validation action_effective_rank": [1.01, 9, 10, 12, 15, 18, 20, 21],
}


def rows(**changes: Sequence[float]) -> list[Row]:
    table = HEALTHY | {name.replace("__", " ").replace("_at_", "@"): values for name, values in changes.items()}
    return [  # type: ignore[misc]
        (250 * (look + 1), *name.split(" "), value)
        for name, values in table.items()
        for look, value in enumerate(values)
    ]


def kinds(found: Sequence[EarlyWarning]) -> list[str]:
    return [warning.kind for warning in found]


@pytest.mark.parametrize("looks", range(1, 9))
def test_a_healthy_run_warns_at_no_look(looks: int) -> None:
    seen = [row for row in rows() if row[0] <= 250 * looks]
    assert early_warnings(seen, LIMITS) == []


def test_values_beyond_any_return() -> None:
    (found,) = early_warnings(rows(validation__value_policy=[1, 100, 501]), LIMITS)
    assert (found.kind, found.step) == ("values-explode", 750)
    assert "501" in found.message
    assert "-400 to 500" in found.message
    assert kinds(early_warnings(rows(validation__value_policy=[-401]), LIMITS)) == ["values-explode"]


def test_values_that_grow_geometrically() -> None:
    assert kinds(early_warnings(rows(validation__value_policy=[6, 10, 16, 25, 39]), LIMITS)) == ["values-explode"]
    assert early_warnings(rows(validation__value_policy=[6, 10, 16, 25, 36]), LIMITS) == []
    assert early_warnings(rows(validation__value_policy=[1, 2, 4, 8, 16]), LIMITS) == []  # still small


@pytest.mark.parametrize(
    "worse", [{"validation__actor_loss": [1, 2, 3, 4, 5]}, {"validation__ndcg_at_10": [0.5, 0.4, 0.3, 0.2, 0.1]}]
)
def test_overfitting_needs_both_curves(worse: dict[str, Sequence[float]]) -> None:
    falling = [9.0, 8, 7, 6, 5]
    curves = {"train__actor_loss": falling, "validation__actor_loss": falling} | worse
    assert kinds(early_warnings(rows(**curves), LIMITS)) == ["policy-overfits"]
    assert early_warnings(rows(**curves | {"train__actor_loss": [9.0, 8, 9, 6, 5]}), LIMITS) == []
    assert early_warnings([row for row in rows(**curves) if row[0] < 1250], LIMITS) == []


def test_saturation() -> None:
    (found,) = early_warnings(rows(validation__action_saturation=[0.1, 0.62]), LIMITS)
    assert (found.kind, found.step) == ("actor-saturates", 500)
    assert "62%" in found.message


def test_collapse_is_told_when_it_lasts() -> None:
    ranks = {"validation__action_effective_rank": [5.0, 5, 5, 5]}
    assert kinds(early_warnings(rows(validation__action_cosine_among=[0.5, 0.4, 0.009, 0.008], **ranks), LIMITS)) == [
        "actions-collapse"
    ]
    assert early_warnings(rows(validation__action_cosine_among=[0.5, 0.4, 0.3, 0.008], **ranks), LIMITS) == []


def test_learners_without_critic_or_actions_are_watched_as_far_as_they_report() -> None:
    assert early_warnings([(10, "validation", "ndcg@10", 0.1)], LIMITS) == []


def test_a_check_is_made_where_enough_was_logged_for_its_warning() -> None:
    every = ["values-explode", "policy-overfits", "actor-saturates", "actions-collapse"]
    assert checks_made(rows()) == every
    assert checks_made([row for row in rows() if row[0] <= 250 * 4]) == [every[0], *every[2:]]
    assert checks_made([row for row in rows() if row[0] <= 250 * 2]) == ["values-explode", "actor-saturates"]
    assert checks_made([row for row in rows() if row[2] != "value_policy"]) == every[1:]
    assert checks_made([(10, "validation", "ndcg@10", 0.1)]) == checks_made([]) == []
