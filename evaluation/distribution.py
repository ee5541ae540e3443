"""How like real actions the policy's actions are."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

Matrix = NDArray[np.float64]


def pairwise(kind: str, x: NDArray[np.float32], y: NDArray[np.float32]) -> Matrix:
    """Distances (N, M) between the rows of x (N, D) and y (M, D); kind is `cosine` (1 - cos) or `euclidean`."""
    return np.asarray(cdist(x, y, metric=kind))


def mean_distances(kind: str, sets: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """Mean pairwise distance between every two sets and inside each (without the zeros of a row with itself)."""
    means = {}
    names = list(sets)
    for place, first in enumerate(names):
        for second in names[place:]:
            distances = pairwise(kind, sets[first], sets[second])
            if first == second:
                distances = distances[~np.eye(len(distances), dtype=bool)]
            means[f"{first}-{second}"] = float(distances.mean()) if distances.size else 0.0
    return means


def wasserstein(a: Matrix, b: Matrix) -> float:
    """The 1-Wasserstein distance of two samples, in their unit."""
    return float(wasserstein_distance(a, b))


def kl_divergence(p: Matrix, q: Matrix, bins: int = 50) -> float:
    """KL(P ‖ Q) in nats, of histograms on common bins of both samples, one count added to every bin."""
    edges = np.histogram_bin_edges(np.concatenate((p, q)), bins=bins)
    p_share = np.histogram(p, edges)[0] + 1.0
    q_share = np.histogram(q, edges)[0] + 1.0
    p_share, q_share = p_share / p_share.sum(), q_share / q_share.sum()
    return float((p_share * np.log(p_share / q_share)).sum())
