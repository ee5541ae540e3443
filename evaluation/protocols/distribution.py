"""Samples of numbers compared: distances of actions, moments, densities, Wasserstein and Kullback-Leibler."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kurtosis, skew, wasserstein_distance

from evaluation.protocols.distances import Distance, distances_between
from evaluation.report.sections.section import Section

KINDS: tuple[Distance, ...] = ("cosine", "euclidean")
Sample = NDArray[np.float64]
Matrix = NDArray[np.float64]
POINTS = 80  # of a density's curve
CELLS = 8  # counted per step between two of them: the curve is off by less than a line's width
ALIKE = 1e-12  # a standard deviation below is rounding


class Moments(Section):
    """What a sample looks like in four numbers, of the sample as it is; kurtosis is 0 for a Gaussian."""

    count: int
    mean: float | None
    std: float | None
    skew: float | None
    kurtosis: float | None


def pairwise(kind: Distance, x: NDArray[np.float32], y: NDArray[np.float32]) -> Matrix:
    """Distances (N, M) between the rows of x (N, D) and y (M, D); kind is of KINDS, cosine is 1 - cos, 1 where a row is zero."""
    return np.asarray(distances_between(kind, torch.from_numpy(x), torch.from_numpy(y)))


def pair_distances(kind: Distance, x: NDArray[np.float32], y: NDArray[np.float32] | None = None) -> Sample:
    """All distances between rows of x (N, D) and y (M, D), or, without y, of every two rows of x, each pair once: (P,).

    Pairs without a distance, of rows that hold NaN, are left out.
    """
    distances = pairwise(kind, x, x)[np.triu_indices(len(x), 1)] if y is None else pairwise(kind, x, y).ravel()
    return distances[np.isfinite(distances)]


def moments(sample: Sample) -> Moments:
    """Mean, standard deviation, skewness and excess kurtosis of a sample (N,); None for what it does not have.

    None: all of an empty sample, skewness and kurtosis of one whose values are all alike.
    """
    if not len(sample):
        return Moments(count=0, mean=None, std=None, skew=None, kurtosis=None)
    mean, std = float(sample.mean()), float(sample.std())
    shaped = std > ALIKE + 1e-9 * abs(mean)
    return Moments(
        count=len(sample),
        mean=mean,
        std=std,
        skew=float(skew(sample)) if shaped else None,
        kurtosis=float(kurtosis(sample)) if shaped else None,
    )


def wasserstein(a: Sample, b: Sample) -> float | None:
    """The 1-Wasserstein distance of two samples, in their unit; None where one is empty."""
    return float(wasserstein_distance(a, b)) if len(a) and len(b) else None


def kl_divergence(p: Sample, q: Sample, bins: int = 50) -> float | None:
    """KL(P ‖ Q) in nats, of histograms on common bins of both samples, one count added to every bin; None where one is empty."""
    if not len(p) or not len(q):
        return None
    edges = np.histogram_bin_edges(np.concatenate((p, q)), bins=bins)
    p_share = np.histogram(p, edges)[0] + 1.0
    q_share = np.histogram(q, edges)[0] + 1.0
    p_share, q_share = p_share / p_share.sum(), q_share / q_share.sum()
    return float((p_share * np.log(p_share / q_share)).sum())


def common_grid(samples: Iterable[Sample], lowest: float = -np.inf) -> Sample:
    """Evenly spaced points (POINTS,) that span all samples but the thousandth at each end, none below `lowest`."""
    ends = np.array([np.quantile(sample, (0.001, 0.999)) for sample in samples if len(sample)]).reshape(-1, 2)
    low, high = (float(ends[:, 0].min()), float(ends[:, 1].max())) if len(ends) else (0.0, 0.0)
    room = 0.05 * (high - low) or 0.5
    return np.linspace(max(low - room, lowest), high + room, POINTS)


def density(sample: Sample, grid: Sample) -> Sample:
    """The Gaussian kernel density of a sample (N,) at evenly spaced points (G,): (G,), nothing for an empty sample.

    The kernel is as wide as Silverman's rule says (1986, eq. 3.31), but no narrower than a step of the grid, so that values
    which are all alike are a peak there too. Values are counted in narrow cells first: cost does not grow with N × G.
    """
    if not len(sample):
        return np.empty(0)
    step = float(grid[1] - grid[0])
    low, high = np.quantile(sample, (0.25, 0.75))
    spread = min(float(sample.std()), float(high - low) / 1.34) or float(sample.std())
    width = max(0.9 * spread * len(sample) ** -0.2, step)
    begin, end = grid[0] - 4 * width, grid[-1] + 4 * width
    counts, edges = np.histogram(sample, bins=int(np.ceil((end - begin) / step)) * CELLS, range=(begin, end))
    apart = (grid[:, None] - (edges[:-1] + edges[1:]) / 2) / width
    kernel = np.exp(-(apart**2) / 2) / (width * np.sqrt(2 * np.pi))
    return np.asarray(kernel @ counts / len(sample))
