"""When a new policy counts as better than the champion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import bootstrap

from evaluation.protocols.promotion import ChampionComparison, PromotionParams, compare_per_user

PARAMS = PromotionParams()


def values(users: int = 400) -> np.ndarray:
    return np.random.default_rng(3).random(users)


def compared(difference: float, noise: float = 0.3, params: PromotionParams = PARAMS) -> ChampionComparison:
    champion = values()
    own = champion + difference + np.random.default_rng(4).normal(0, noise, len(champion))
    own -= (own - champion).mean() - difference  # the mean difference is exactly this one
    return compare_per_user(own, champion, params)


def test_a_clearly_better_challenger_is_better() -> None:
    found = compared(0.1)
    assert found.better
    assert found.low is not None
    assert 0.05 < found.low < 0.1
    assert found.difference == pytest.approx(0.1)
    assert "the new policy is better" in found.sentence()


def test_a_challenger_that_is_better_within_the_interval_is_not() -> None:
    found = compared(0.02)
    assert not found.better
    assert found.difference == pytest.approx(0.02)
    assert found.low is not None
    assert found.low < 0
    assert "the champion stays" in found.sentence()


def test_a_lower_confidence_accepts_more() -> None:
    assert not compared(0.02).better
    assert compared(0.02, params=PromotionParams(confidence=0.7)).better


def test_users_are_paired() -> None:
    """The same small gain of every user shows, though the users differ much from each other."""
    assert compared(0.001, noise=0.001).better


def test_the_interval_is_scipys() -> None:
    rng = np.random.default_rng(1)
    own, other = rng.random(80), rng.random(80)
    found = compare_per_user(own, other, PromotionParams(confidence=0.9))
    theirs = bootstrap(
        (own - other,), np.mean, n_resamples=10_000, method="percentile", confidence_level=0.9, rng=2
    ).confidence_interval
    assert found.low == pytest.approx(theirs.low, abs=0.005)
    assert found.high == pytest.approx(theirs.high, abs=0.005)


def test_too_few_users_have_no_interval_and_never_promote() -> None:
    five, six = (compare_per_user(np.ones(users), np.zeros(users), PARAMS) for users in (5, 6))
    assert (five.low, five.better) == (None, False)
    assert "too few users" in five.sentence()
    assert (six.low, six.better) == (1.0, True)
    assert compare_per_user(np.full(9, np.nan), np.ones(9), PARAMS).users == 0


def test_a_user_without_a_value_does_not_count() -> None:
    own, other = values(), values() - 0.1
    own[:50], other[20:70] = np.nan, np.nan
    found = compare_per_user(own, other, PARAMS)
    assert found.users == 400 - 70
    assert found.difference == pytest.approx(0.1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40))
def test_of_two_policies_at_most_one_is_better_and_equal_ones_are_not(pairs: list[tuple[float, float]]) -> None:
    own, other = np.array(pairs).T
    one, two = compare_per_user(own, other, PARAMS), compare_per_user(other, own, PARAMS)
    assert not (one.better and two.better)
    assert one.difference == pytest.approx(-two.difference)
    assert not compare_per_user(own, own, PARAMS).better
    if one.better:
        assert one.low is not None
        assert 0 < one.low <= one.difference + 1e-9


@pytest.mark.parametrize("wrong", [{"confidence": 1.0}, {"confidence": 0.4}, {"metric": "coverage@10"}, {"draws": 5}])
def test_parameters_have_bounds(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PromotionParams.model_validate(wrong)
