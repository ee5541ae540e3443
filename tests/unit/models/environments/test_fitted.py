"""How the ratings of simulated users are fitted."""

import numpy as np
import pytest

from models.environments.fitted import fit_ratings


def test_without_negative_weights_the_middle_and_the_noise_are_those_of_the_best_fit() -> None:
    rng = np.random.default_rng(0)
    terms = rng.normal(1.0, 1.0, (2000, 4))
    ratings = 3 + terms @ [0.5, -0.4, 0.3, 0.2] + rng.normal(0, 0.1, 2000)
    middle, weights, noise = fit_ratings(terms, ratings)
    assert weights[1] == 0
    columns = np.column_stack((np.ones(2000), terms[:, [0, 2, 3]]))
    best, squares, *_ = np.linalg.lstsq(columns, ratings, rcond=None)
    assert [middle, *weights[[0, 2, 3]]] == pytest.approx(best)
    assert noise == pytest.approx((squares[0] / 2000) ** 0.5)
    assert (ratings - middle - terms @ weights).mean() == pytest.approx(0, abs=1e-9)


def test_positive_weights_are_those_of_least_squares() -> None:
    rng = np.random.default_rng(1)
    terms = rng.normal(size=(500, 4))
    middle, weights, noise = fit_ratings(terms, 3 + terms @ [0.5, 0.4, 0.3, 0.2] + rng.normal(0, 0.1, 500))
    assert [middle, *weights] == pytest.approx([3, 0.5, 0.4, 0.3, 0.2], abs=0.03)
    assert noise == pytest.approx(0.1, abs=0.01)
