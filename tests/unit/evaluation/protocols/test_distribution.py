import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist
from scipy.stats import expon, gaussian_kde, norm

from evaluation.protocols.distances import Distance
from evaluation.protocols.distribution import (
    KINDS,
    common_grid,
    density,
    kl_divergence,
    moments,
    pair_distances,
    wasserstein,
)

RNG = np.random.default_rng(0)
EVENLY = (np.arange(200_000) + 0.5) / 200_000
EMPTY = np.empty(0)


@pytest.mark.parametrize("kind", KINDS)
def test_each_pair_counts_once_inside_a_set_and_all_count_between_two(kind: Distance) -> None:
    x, y = (RNG.normal(size=(rows, 5)).astype(np.float32) for rows in (7, 4))
    np.testing.assert_allclose(pair_distances(kind, x), pdist(x, kind), rtol=1e-6)
    np.testing.assert_allclose(pair_distances(kind, x, y), cdist(x, y, kind).ravel(), rtol=1e-6)
    assert len(pair_distances(kind, x[:1])) == 0


def test_cosine_is_a_distance_and_no_inner_product() -> None:
    x = np.array([[1.0, 0], [5, 0], [0, 1], [-1, 0], [0, 0]], dtype=np.float32)
    np.testing.assert_allclose(pair_distances("cosine", x), [0, 1, 2, 1, 1, 2, 1, 1, 1, 1], atol=1e-12)
    x[0] = np.nan
    assert len(pair_distances("cosine", x)) == 6


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (norm.ppf(EVENLY, 3, 2), (3, 2, 0, 0)),
        (expon.ppf(EVENLY), (1, 1, 2, 6)),
        (EVENLY, (0.5, 12**-0.5, 0, -1.2)),
    ],
    ids=["normal", "exponential", "uniform"],
)
def test_moments_of_known_shapes(sample: np.ndarray, expected: tuple[float, ...]) -> None:
    found = moments(sample)
    assert found.count == len(sample)
    np.testing.assert_allclose([found.mean, found.std, found.skew, found.kurtosis], expected, atol=0.02)


def test_what_has_no_shape_has_no_moments_of_it() -> None:
    alike = moments(np.full(5, 0.3) + np.array([0, 1e-16, 0, 0, -1e-16]))
    assert alike.mean == pytest.approx(0.3)
    assert (alike.skew, alike.kurtosis) == (None, None)
    nothing = moments(EMPTY)
    assert (nothing.count, nothing.mean, nothing.std, nothing.skew) == (0, None, None, None)


def test_wasserstein_is_how_far_the_mass_moves() -> None:
    sample = RNG.normal(size=500)
    assert wasserstein(sample, sample) == 0
    assert wasserstein(sample, sample + 2) == pytest.approx(2)
    assert wasserstein(sample, EMPTY) is None


def test_kl_divergence_is_near_the_normal_distributions_own() -> None:
    p, q = norm.ppf(EVENLY), norm.ppf(EVENLY, 1, 2)
    assert kl_divergence(p, p) == 0
    assert kl_divergence(p, q) == pytest.approx(np.log(2) + (1 + 1) / 8 - 0.5, rel=0.02)
    assert kl_divergence(q, p) != pytest.approx(kl_divergence(p, q), rel=0.1)
    assert kl_divergence(EMPTY, p) is None


@pytest.mark.parametrize("size", [1000, 20_000])  # the larger sample is binned
def test_density_is_the_kernel_estimate(size: int) -> None:
    sample = np.concatenate((RNG.normal(size=3 * size), RNG.normal(4, 0.5, size=size)))
    grid = common_grid([sample])
    spread = min(sample.std(), np.subtract(*np.quantile(sample, (0.75, 0.25))) / 1.34)
    width = 0.9 * spread * len(sample) ** -0.2
    exact = gaussian_kde(sample, width / sample.std(ddof=1))(grid)
    np.testing.assert_allclose(density(sample, grid), exact, atol=0.001 * exact.max())


def test_density_of_values_alike_is_a_peak_of_mass_one() -> None:
    wide = RNG.normal(size=100)
    grid = common_grid([wide, np.full(50, 0.25)])
    curve = density(np.full(50, 0.25), grid)
    assert abs(grid[curve.argmax()] - 0.25) <= grid[1] - grid[0]
    assert np.trapezoid(curve, grid) == pytest.approx(1, abs=0.01)
    assert len(density(EMPTY, grid)) == 0


@pytest.mark.parametrize("samples", [[], [EMPTY], [np.zeros(3)], [np.full(2, 1e9)]])
def test_a_grid_is_always_one(samples: list[np.ndarray]) -> None:
    grid = common_grid(samples, lowest=0)
    assert np.isfinite(grid).all()
    assert (np.diff(grid) > 0).all()
    assert grid[0] >= 0
    for sample in samples:
        assert np.isfinite(density(sample, grid)).all()
