"""Comparison of samples: distances of actions, moments, densities, Wasserstein distance and KL divergence."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import gaussian_kde, kurtosis, norm, skew, wasserstein_distance

from evaluation.protocols.distances import Distance, distances_between
from evaluation.record import Record

KINDS: tuple[Distance, ...] = ("cosine", "euclidean")
Sample = NDArray[np.float64]
Matrix = NDArray[np.float64]
POINTS = 80  # of a density's curve
BINS = 4000  # a larger sample is binned before its density is estimated: the same curve, a tenth of the time
SMALLEST_STD = 1e-12  # smaller standard deviations are rounding errors


class Moments(Record):
    """The moments of a sample; kurtosis is the excess kurtosis, 0 for a Gaussian."""

    count: int
    mean: float | None
    std: float | None
    skew: float | None
    kurtosis: float | None


def pairwise(kind: Distance, x: NDArray[np.float32], y: NDArray[np.float32]) -> Matrix:
    """Distances (N, M) of a kind of KINDS between the rows of x (N, D) and y (M, D); cosine is 1 - cos, and 1 for a zero row."""
    return np.asarray(distances_between(kind, torch.from_numpy(x), torch.from_numpy(y)))


def pair_distances(kind: Distance, x: NDArray[np.float32], y: NDArray[np.float32] | None = None) -> Sample:
    """The distances of all pairs of rows of x (N, D) and y (M, D); without y, of all pairs of rows of x: (P,).

    Pairs with NaN are left out.
    """
    distances = pairwise(kind, x, x)[np.triu_indices(len(x), 1)] if y is None else pairwise(kind, x, y).ravel()
    return distances[np.isfinite(distances)]


def moments(sample: Sample) -> Moments:
    """Mean, standard deviation, skewness and excess kurtosis of a sample (N,).

    All are None for an empty sample; skewness and kurtosis are None if all values are equal.
    """
    if not len(sample):
        return Moments(count=0, mean=None, std=None, skew=None, kurtosis=None)
    mean, std = float(sample.mean()), float(sample.std())
    shaped = std > SMALLEST_STD + 1e-9 * abs(mean)
    return Moments(
        count=len(sample),
        mean=mean,
        std=std,
        skew=float(skew(sample)) if shaped else None,
        kurtosis=float(kurtosis(sample)) if shaped else None,
    )


def wasserstein(a: Sample, b: Sample) -> float | None:
    """The 1-Wasserstein distance of two samples, in their unit; None if one is empty."""
    return float(wasserstein_distance(a, b)) if len(a) and len(b) else None


def kl_divergence(p: Sample, q: Sample) -> float | None:
    """KL(P ‖ Q) in nats, of histograms with 50 common bins and one count added to every bin; None if a sample is empty."""
    if not len(p) or not len(q):
        return None
    edges = np.histogram_bin_edges(np.concatenate((p, q)), bins=50)
    p_share = np.histogram(p, edges)[0] + 1.0
    q_share = np.histogram(q, edges)[0] + 1.0
    p_share, q_share = p_share / p_share.sum(), q_share / q_share.sum()
    return float((p_share * np.log(p_share / q_share)).sum())


def common_grid(samples: Iterable[Sample], lowest: float = -np.inf) -> Sample:
    """Evenly spaced points (POINTS,) from the smallest 0.001 quantile of the samples to the largest 0.999, none below `lowest`."""
    ends = np.array([np.quantile(sample, (0.001, 0.999)) for sample in samples if len(sample)]).reshape(-1, 2)
    low, high = (float(ends[:, 0].min()), float(ends[:, 1].max())) if len(ends) else (0.0, 0.0)
    room = 0.05 * (high - low) or 0.5
    return np.linspace(max(low - room, lowest), high + room, POINTS)


def density(sample: Sample, grid: Sample) -> Sample:
    """The Gaussian kernel density of a sample (N,) at evenly spaced points (G,): (G,), empty for an empty sample.

    The bandwidth is Silverman's (1986, eq. 3.31), but at least one step of the grid, so that equal values are a visible peak.
    """
    if not len(sample):
        return np.empty(0)
    low, high = np.quantile(sample, (0.25, 0.75))
    std = float(sample.std(ddof=1)) if len(sample) > 1 else 0.0
    spread = min(std, float(high - low) / 1.34) or std
    bandwidth = max(0.9 * spread * len(sample) ** -0.2, float(grid[1] - grid[0]))
    if std <= SMALLEST_STD:  # gaussian_kde cannot scale its kernel by a standard deviation of 0
        return np.asarray(norm.pdf(grid, sample.mean(), bandwidth))
    if len(sample) <= BINS:
        return np.asarray(gaussian_kde(sample, bandwidth / std)(grid))
    counts, edges = np.histogram(sample, BINS)
    return np.asarray(gaussian_kde((edges[1:] + edges[:-1]) / 2, bandwidth / std, weights=counts)(grid))
