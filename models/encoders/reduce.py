"""Blocks of features into one embedding of fixed width, by PCA."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from models.encoders.errors import EncoderError


class Reduced(NamedTuple):
    """What `reduce_blocks` makes."""

    embedding: NDArray[np.float32]  # (I, dim)
    explained_variance: float  # share of the training items' variance, 0 … 1
    block_widths: dict[str, int]


def reduce_blocks(
    blocks: Mapping[str, NDArray[np.float32]], weights: Mapping[str, float], dim: int, train: NDArray[np.bool_]
) -> Reduced:
    """Give every block its weight in variance, join them and keep `dim` principal components.

    Means, scales and components come from training items only; signs are fixed; the result's root mean square over
    training items is 1. Components beyond the data's rank are zeros.

    Args:
        blocks: name → (I, W) float32.
        weights: name → standard deviation the whole block gets.
        dim: D.
        train: (I,) bool.

    Raises:
        EncoderError: fewer than two training items, or nothing varies among them.
    """
    if int(train.sum()) < 2:
        raise EncoderError(
            f"PCA: expected at least 2 items with training events; found {int(train.sum())}. Give more ratings."
        )
    scaled = []
    for name, block in blocks.items():
        centred = block.astype(np.float64) - block[train].mean(axis=0, dtype=np.float64)
        total = float(np.sqrt(centred[train].var(axis=0).sum()))
        scaled.append(centred * (weights[name] / total) if total > 1e-9 else np.zeros_like(centred))
    joined = np.concatenate(scaled, axis=1)
    if not np.abs(joined[train]).max(initial=0) > 0:
        raise EncoderError(
            "PCA: expected items that differ; found all alike. Give metadata or texts, or raise a block's weight."
        )
    kept = min(dim, joined.shape[1], int(train.sum()))
    pca = PCA(kept, svd_solver="covariance_eigh").fit(joined[train])
    components = pca.components_
    largest = np.abs(components).argmax(axis=1)
    components = components * np.sign(components[np.arange(kept), largest])[:, None]
    embedding = np.zeros((len(joined), dim))
    embedding[:, :kept] = (joined - pca.mean_) @ components.T
    embedding /= np.sqrt(np.square(embedding[train]).mean())
    return Reduced(
        embedding=embedding.astype(np.float32),
        explained_variance=float(pca.explained_variance_ratio_.sum()),
        block_widths={name: int(block.shape[1]) for name, block in blocks.items()},
    )
