"""Blocks of features into one embedding of fixed width.

Shapes: I items, n of them in training, W columns of all blocks together, D dimensions of the embedding.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh

from models.autoencoder import fit_autoencoder
from models.encoders.tabular import Floats, Mask
from models.errors import EncoderError

Reduction = Literal["pca", "pca_whitened", "svd", "autoencoder"]
Layers = tuple[tuple[Floats, Floats], ...]  # of each dense layer: weight (in, out) and bias (out,)

LEAST_VARIANCE = 1e-5  # as a share of the largest component's; smaller ones are rounding errors of float32 sums
HIDDEN, STEPS, BATCH = 256, 600, 256  # the autoencoder's


class Reducer(NamedTuple):
    """A fitted reduction. Columns are centred and scaled; then they pass one dense layer, or the autoencoder's two with a ReLU between."""

    mean: Floats  # (W,)
    scale: Floats  # (W,)
    layers: Layers

    def embed(self, blocks: Sequence[Floats]) -> Floats:
        """The embeddings (I, D) of the rows of blocks, (I, W_b) each; nothing is fitted."""
        rows = join_blocks(blocks, self.mean, self.scale)
        for place, (weight, bias) in enumerate(self.layers):
            rows = (np.maximum(rows, 0) if place else rows) @ weight + bias
        return rows


class Reduced(NamedTuple):
    """What `reduce_blocks` makes."""

    embedding: Floats  # (I, D)
    reducer: Reducer  # gives the same embeddings, but for rounding
    explained_variance: float  # share of the training items' variance, 0 … 1
    variance_share: dict[str, float]  # by block: its share of the whole variance; they add up to 1
    kept_share: dict[str, float]  # by block: the share of its own variance that the embedding keeps
    column_kept: dict[str, Floats]  # by block: (W_b,) share of the whole variance that is kept of each column
    dimension_share: NDArray[np.float64]  # (D,) share of the variance along each dimension, where they are uncorrelated
    loadings: dict[str, Floats]  # by block: (W_b, D) correlation of column and dimension


def reduce_blocks(
    blocks: Mapping[str, Floats],
    weights: Mapping[str, float],
    dim: int,
    train: Mask,
    reduction: Reduction = "pca",
    seed: int = 0,
) -> Reduced:
    """Give every block its weight in variance, join them and reduce them to `dim` dimensions.

    Means, scales and the reduction are fit on training items only; equal input gives equal output; signs are fixed;
    the result's root mean square over training items is 1. Dimensions beyond the data's rank are zeros. What is kept
    is measured in the same way for all reductions: the variance of the training items that a linear map from the embedding back
    to the columns explains.

    Args:
        blocks: name → (I, W_b) float32.
        weights: name → standard deviation the whole block gets.
        dim: D.
        train: (I,) bool.
        reduction: `pca`; `pca_whitened`, with dimensions of equal variance; `svd`, PCA without centring, so that
            columns that are 0 for an item stay near 0; `autoencoder`, with one hidden layer in the encoder and one in the decoder.
        seed: of the autoencoder's weights and batches; the other reductions are deterministic.

    Raises:
        EncoderError: fewer than two training items, or nothing varies among them.
    """
    if int(train.sum()) < 2:
        raise EncoderError(
            f"{reduction}: expected at least 2 items with training events; found {int(train.sum())}. Give more ratings."
        )
    mean, scale = fit_scales(blocks, weights, train)
    centred = join_blocks(list(blocks.values()), mean, scale)
    fit = centred[train]
    if not fit.any():
        raise EncoderError(
            f"{reduction}: expected items that differ; found all alike. Give metadata or texts, or raise a block's weight."
        )
    if reduction == "autoencoder":
        reduced, layers = encode_nonlinearly(centred, fit, dim, seed)
    else:
        reduced, layers = project(centred, mean * scale, fit, dim, reduction)
    missing = dim - reduced.shape[1]
    embedding = np.pad(reduced, ((0, 0), (0, missing)))
    size = np.sqrt(np.square(embedding[train], dtype=np.float64).mean())
    embedding /= size
    *first, (weight, bias) = layers
    weight, bias = np.pad(weight / size, ((0, 0), (0, missing))), np.pad(bias / size, (0, missing))
    last = weight.astype(np.float32), bias.astype(np.float32)
    return measure_kept(blocks, fit, embedding, train, Reducer(mean, scale, (*first, last)))


def fit_scales(blocks: Mapping[str, Floats], weights: Mapping[str, float], train: Mask) -> tuple[Floats, Floats]:
    """Mean and scale of all columns side by side, (W,) each.

    Scaled, each block's variances over training items add up to its weight squared; the scale of one that does not vary is 0.
    """
    means, scales = [], []
    for name, block in blocks.items():
        fit = block[train]
        total = float(np.sqrt(fit.var(axis=0, dtype=np.float64).sum()))
        means.append(fit.mean(axis=0, dtype=np.float64))
        scales.append(np.full(block.shape[1], weights[name] / total if total > 1e-9 else 0.0))
    return np.concatenate(means).astype(np.float32), np.concatenate(scales).astype(np.float32)


def join_blocks(blocks: Sequence[Floats], mean: Floats, scale: Floats) -> Floats:
    """All columns side by side, centred and scaled, (I, W)."""
    joined = np.concatenate(blocks, axis=1)
    joined -= mean
    joined *= scale
    return joined


def project(centred: Floats, mean: Floats, fit: Floats, dim: int, reduction: Reduction) -> tuple[Floats, Layers]:
    """Items along the strongest directions of the training items, (I, ≤ dim), by one eigendecomposition; and the layer that does it.

    The mean (W,) is the scaled one.
    """
    moment = (fit.T @ fit).astype(np.float64) / len(fit)
    if reduction == "svd":
        moment += np.outer(mean, mean)
    kept = min(dim, len(moment))
    variances, directions = eigh(moment, subset_by_index=[len(moment) - kept, len(moment) - 1])
    strong = variances > LEAST_VARIANCE * variances[-1]
    variances, directions = variances[strong][::-1], directions[:, strong][:, ::-1]
    directions = directions * np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])
    if reduction == "pca_whitened":
        directions = directions / np.sqrt(variances)
    directions = directions.astype(np.float32)
    bias = mean @ directions if reduction == "svd" else np.zeros(directions.shape[1], dtype=np.float32)
    return centred @ directions + bias, ((directions, bias),)


def encode_nonlinearly(centred: Floats, fit: Floats, dim: int, seed: int) -> tuple[Floats, Layers]:
    """The latent layer of an autoencoder, centred on training items, (I, dim), signs fixed; and the layers that give it."""
    # Adam's step size fits values near 1.
    scale = np.float32(np.sqrt(fit.shape[1] / np.square(fit, dtype=np.float64).sum(axis=1).mean()))
    rows = torch.from_numpy(fit * scale)
    model = fit_autoencoder(rows, HIDDEN, dim, STEPS, BATCH, seed)
    seen = model.encode(rows).numpy()
    mean = seen.mean(axis=0, dtype=np.float64).astype(np.float32)
    signs = np.sign(seen[np.abs(seen - mean).argmax(axis=0), np.arange(dim)] - mean)
    latent = model.encode(torch.from_numpy(centred * scale)).numpy()
    (first, first_bias), (second, second_bias) = model.encoding_layers()
    layers = (first * scale, first_bias), (second * signs, (second_bias - mean) * signs)
    return np.asarray((latent - mean) * signs, dtype=np.float32), layers


def measure_kept(
    blocks: Mapping[str, Floats], fit: Floats, embedding: Floats, train: Mask, reducer: Reducer
) -> Reduced:
    """What the embedding keeps of every block, by least squares from the embedding to the columns.

    Args:
        blocks: for their names and widths.
        fit: (n, W) centred columns of the training items.
        embedding: (I, D).
        train: (I,) bool.
        reducer: that made the embedding.
    """
    cuts = np.cumsum([block.shape[1] for block in blocks.values()])[:-1]
    seen = embedding[train]
    seen = seen - seen.mean(axis=0, dtype=np.float64).astype(np.float32)
    cross = (fit.T @ seen).astype(np.float64) / len(fit)  # (W, D)
    spread = (seen.T @ seen).astype(np.float64) / len(fit)  # (D, D)
    readout = cross @ np.linalg.pinv(spread, rcond=1e-6, hermitian=True)  # (W, D)
    variance = np.concatenate([np.square(part).mean(axis=0, dtype=np.float64) for part in np.split(fit, cuts, axis=1)])
    kept = np.clip((readout * cross).sum(axis=1), 0, variance)
    total = float(variance.sum())
    size = np.sqrt(variance[:, None] * np.diag(spread)[None, :])
    loadings = np.divide(cross, size, out=np.zeros_like(cross), where=size > 0).astype(np.float32)

    def by_block(values: NDArray[np.float64]) -> dict[str, float]:
        return {name: float(part.sum()) for name, part in zip(blocks, np.split(values, cuts), strict=True)}

    own, retained = by_block(variance), by_block(kept)
    return Reduced(
        embedding=embedding,
        reducer=reducer,
        explained_variance=float(kept.sum() / total),
        variance_share={name: value / total for name, value in own.items()},
        kept_share={name: retained[name] / value if value > 0 else 0.0 for name, value in own.items()},
        column_kept=dict(zip(blocks, np.split((kept / total).astype(np.float32), cuts), strict=True)),
        dimension_share=(readout * cross).sum(axis=0) / total,
        loadings=dict(zip(blocks, np.split(loadings, cuts), strict=True)),
    )
