"""Items in the plane: their positions, groups and titles."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

GROUPS = 9  # that have their own colour
LONGEST_TITLE = 80
Way = Literal["tsne", "pca"]
WAYS: dict[Way, str] = {"tsne": "t-SNE by cosine: neighbourhoods are preserved, large distances are not", "pca": "PCA"}


def plane(vectors: NDArray[np.float32], way: Way, seed: int) -> NDArray[np.float64]:
    """Project vectors (P, D) to the plane, (P, 2): t-SNE preserves neighbourhoods, PCA the directions of largest variance.

    It uses one thread, because the order of sums over several threads differs from run to run.
    """
    exact = np.asarray(vectors, dtype=np.float64)
    centred = exact - exact.mean(axis=0)
    with threadpool_limits(1):
        directions = np.linalg.eigh(centred.T @ centred).eigenvectors[:, ::-1]
        flat = centred @ directions[:, :50]
        if way == "tsne" and len(vectors) >= 10:
            perplexity = min(30.0, (len(vectors) - 1) / 3)
            flat = TSNE(
                metric="cosine", init="random", perplexity=perplexity, random_state=seed, n_jobs=1
            ).fit_transform(flat.astype(np.float32))
    if flat.shape[1] < 2:
        flat = np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    return np.asarray(flat[:, :2], dtype=np.float64)


def framed(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """The positions (P, 2) centred at zero and scaled so that the wider direction has length 1, to four digits."""
    span = max(float(np.ptp(position, axis=0).max()), 1e-9)
    return np.asarray(np.round((position - position.mean(axis=0)) / span, 4))


def most_rated(events: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The `count` items with the most events (I,), in descending order, ties by index: (min(I, count),)."""
    return np.argsort(-events, kind="stable")[:count]


def main_groups(groups: Sequence[str]) -> tuple[list[str], list[str]]:
    """Every item's group, with `other` for rare and unknown groups, and the names in the order of the legend."""
    counts = Counter(name for name in groups if name and name != "other")
    names = [name for name, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:GROUPS]]
    grouped = [name if name in names else "other" for name in groups]
    return grouped, [name for name in [*names, "other"] if name in grouped]


def shortened(title: str) -> str:
    """A title short enough for a tooltip."""
    plain = re.sub(r"\s+", " ", title)
    return plain if len(plain) <= LONGEST_TITLE else plain[: LONGEST_TITLE - 1] + "…"
