"""Intervals and tests, against scipy's where it has them."""

import numpy as np
import pytest
from scipy.stats import bootstrap, permutation_test

from evaluation.protocols import statistics
from evaluation.protocols.statistics import bootstrap_intervals, bootstrap_means, bootstrap_pairs, holm, sign_flip_test

RNG = np.random.default_rng(5)


def test_intervals_are_those_of_scipys_percentile_bootstrap() -> None:
    values = RNG.gamma(2, size=(300, 2))
    ours = bootstrap_intervals(values, seed=1, draws=4000)
    for column, (low, high) in zip(values.T, ours, strict=True):
        theirs = bootstrap((column,), np.mean, n_resamples=4000, method="percentile", rng=2).confidence_interval
        assert abs(low - theirs.low) < 0.1 * (high - low)
        assert abs(high - theirs.high) < 0.1 * (high - low)


def test_users_without_a_value_are_drawn_but_not_counted() -> None:
    values = np.column_stack((np.r_[RNG.random(100), np.full(300, np.nan)], np.full(400, np.nan), np.ones(400)))
    low, high = bootstrap_intervals(values, seed=0).T
    mean, error = np.nanmean(values[:, 0]), np.nanstd(values[:, 0]) / 10
    assert mean - 2.6 * error < low[0] < mean - 1.4 * error
    assert mean + 1.4 * error < high[0] < mean + 2.6 * error
    assert np.isnan([low[1], high[1]]).all()
    assert low[2] == high[2] == 1


def test_a_method_less_another_is_resampled_as_each_is() -> None:
    a, b = RNG.random((50, 1)), RNG.random((50, 1))
    np.testing.assert_allclose(bootstrap_means(a - b, 3), bootstrap_means(a, 3) - bootstrap_means(b, 3), atol=1e-12)


def test_draws_do_not_depend_on_how_many_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = RNG.random((37, 3)) - 0.4
    means, p = bootstrap_means(values, 0, draws=50), sign_flip_test(values, 0, draws=50)
    monkeypatch.setattr(statistics, "AT_ONCE", 37 * 7)
    np.testing.assert_allclose(bootstrap_means(values, 0, draws=50), means)
    np.testing.assert_allclose(sign_flip_test(values, 0, draws=50), p)


def test_an_interval_of_pairs_covers_the_mean_of_all_pairs_as_often_as_it_says() -> None:
    truth, covered, widths = 2 / np.sqrt(np.pi), 0, []  # of |x - y|, both standard normal
    for seed in range(200):
        people = np.random.default_rng(seed).normal(size=60)
        low, high = bootstrap_pairs(np.abs(people[:, None] - people), seed, draws=300)
        covered, widths = covered + (low <= truth <= high), [*widths, high - low]
    assert 0.88 < covered / 200 < 0.99
    assert 0.3 < np.mean(widths) < 0.55  # 2 × 1.96 × 0.11, the standard error of Gini's mean difference


def test_no_pairs_no_interval() -> None:
    assert np.isnan(bootstrap_pairs(np.ones((2, 2)), 0)).all()
    assert bootstrap_pairs(np.ones((3, 3)), 0) == (1, 1)


def test_no_users_no_interval() -> None:
    assert np.isnan(bootstrap_intervals(np.empty((0, 2)), 0)).all()


def test_sign_flips_agree_with_the_exact_test() -> None:
    differences = RNG.normal(0.4, 1, size=(11, 3))
    ours = sign_flip_test(differences, seed=0, draws=40_000)
    for column, p in zip(differences.T, ours, strict=True):
        exact = permutation_test((column,), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert abs(p - exact.pvalue) < 0.01


def test_ties_count_as_as_far_and_nan_as_no_difference() -> None:
    ones = np.ones((5, 1)) * 0.1
    assert abs(sign_flip_test(ones, 0)[0] - 2 / 32) < 0.01
    with_others = np.concatenate((ones, np.full((4, 1), np.nan), np.zeros((4, 1))))
    assert abs(sign_flip_test(with_others, 0)[0] - 2 / 32) < 0.01
    assert sign_flip_test(np.zeros((9, 1)), 0)[0] == 1


def test_alike_methods_are_seldom_called_different() -> None:
    differences = RNG.normal(size=(60, 400))
    assert abs((sign_flip_test(differences, 0, draws=1000) < 0.05).mean() - 0.05) < 0.035


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.5, 0.9])).tolist() == [1, 1]
    assert holm(np.empty(0)).tolist() == []
