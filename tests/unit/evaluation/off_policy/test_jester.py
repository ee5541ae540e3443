"""Estimates beside the truth of real ratings: Jester's users who rated all jokes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from unit.evaluation.off_policy.jester_support import (
    STEPS,
    Behaviour,
    Jester,
    Log,
    make_log,
    read_jester,
    target_policies,
    true_value,
)

from evaluation.off_policy.estimates import OffPolicyParams, evaluate_off_policy
from models.histories import Histories, seen_items
from models.off_policy.estimators import Value

PARAMS = OffPolicyParams(draws=100)
USERS = 1000


@pytest.fixture(scope="module")
def jester() -> Callable[[Path], Jester]:
    read: list[Jester] = []

    def once(real_data: Path) -> Jester:
        if not read:
            read.append(read_jester(real_data / "jester-1" / "jester-data-1.zip"))
        return read[0]

    return once


def errors(log: Log, known: bool) -> dict[str, dict[str, tuple[float, bool]]]:
    """By policy and estimator the error in rewards, which go from -4 to 5, and whether the interval covers the truth."""
    policies = target_policies(log, "ease")
    starts = log.dataset.last_starts("test", STEPS)
    result = evaluate_off_policy(
        log.dataset, policies, PARAMS, log_propensities=log.log_propensities if known else None
    )
    assert result is not None
    found: dict[str, dict[str, tuple[float, bool]]] = {}
    for name, scorer in policies.items():
        truth = true_value(log, scorer, PARAMS, starts)
        found[name] = {}
        for estimator in ("doubly_robust", "importance", "direct"):
            value: Value = getattr(result.evaluated[name].estimates, estimator)
            found[name][estimator] = value.value - truth, value.low <= truth <= value.high
    return found


@pytest.mark.parametrize("known", [True, False], ids=["known", "estimated"])
def test_doubly_robust_covers_the_truth_if_choices_depend_on_history(
    known: bool, jester: Callable[[Path], Jester], real_data: Path, tmp_path: Path
) -> None:
    found = errors(make_log(tmp_path, jester(real_data), "history", 0, USERS), known)
    for name in ("quality", "random", "ease"):
        assert found[name]["doubly_robust"][1], (name, found[name])
    assert found["contrary"]["direct"][0] > 1, "the reward model has no feature of each user's own taste"
    assert abs(found["contrary"]["doubly_robust"][0]) < found["contrary"]["direct"][0] / 3


def test_true_propensities_help_if_choices_depend_on_taste(
    jester: Callable[[Path], Jester], real_data: Path, tmp_path: Path
) -> None:
    log = make_log(tmp_path, jester(real_data), "taste", 0, USERS)
    known, estimated = errors(log, known=True), errors(log, known=False)
    for name in ("quality", "random", "ease"):
        for estimator, (error, covers) in estimated[name].items():
            assert error > 0.8, (name, estimator, "too high, as no history shows what the user expects")
            assert not covers
        assert abs(known[name]["doubly_robust"][0]) < estimated[name]["doubly_robust"][0] / 3, name


@pytest.mark.parametrize("behaviour", ["history", "taste"])
def test_stated_propensities_are_those_of_the_choices(
    behaviour: Behaviour, jester: Callable[[Path], Jester], real_data: Path, tmp_path: Path
) -> None:
    """They sum to 1 over jokes not yet taken, and score the logged choices as well as their own entropy says."""
    log = make_log(tmp_path, jester(real_data), behaviour, 1, USERS)
    starts = log.dataset.last_starts("test", STEPS)
    known = Histories(*log.dataset.histories(starts))
    found = log.log_propensities(known).double()
    assert torch.allclose(found.exp().sum(1), torch.ones(len(starts), dtype=torch.float64), atol=1e-5)
    assert torch.equal(found.isinf(), seen_items(known.items, 100))
    own = found.gather(1, log.dataset.target_items(starts).unsqueeze(1)).mean()
    expected = (found.exp() * found.nan_to_num(neginf=0)).sum(1).mean()
    assert own.item() == pytest.approx(expected.item(), abs=0.03)
