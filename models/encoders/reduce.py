"""Blocks of features into one embedding of fixed width.

Shapes: I items, n of them in training, W columns of all blocks together, D dimensions of the embedding.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh

from models.autoencoder import fit_autoencoder
from models.encoders.sums import Products
from models.encoders.tabular import Floats
from models.errors import EncoderError

Reduction = Literal["pca", "pca_whitened", "svd", "autoencoder"]
Doubles = NDArray[np.float64]
Layer = tuple[Floats, Floats]  # of a dense layer: weight (in, out) and bias (out,)

LEAST_VARIANCE = 1e-5  # as a share of the largest component's; smaller ones are rounding errors of float32 sums
HIDDEN, STEPS, BATCH = 256, 600, 256  # the autoencoder's


class Reducer(NamedTuple):
    """A fitted reduction. Columns are centred and scaled; then they pass one dense layer, or the autoencoder's two with a ReLU between."""

    mean: Floats  # (W,)
    scale: Floats  # (W,)
    layers: tuple[Layer, ...]

    def scaled(self, rows: Floats) -> Floats:
        """Rows of all blocks side by side, centred and scaled, (I, W)."""
        return np.asarray((rows - self.mean) * self.scale)

    def reduced(self, scaled: Floats) -> Floats:
        """The embeddings (I, D) of scaled rows (I, W); nothing is fitted."""
        rows = scaled
        for place, (weight, bias) in enumerate(self.layers):
            rows = (np.maximum(rows, 0) if place else rows) @ weight + bias
        return rows


class Kept(NamedTuple):
    """What the embedding keeps of the blocks' variance among training items, by least squares from the embedding to the columns."""

    explained_variance: float  # share of the training items' variance, 0 … 1
    variance_share: dict[str, float]  # by block: its share of the whole variance; they add up to 1
    kept_share: dict[str, float]  # by block: the share of its own variance that the embedding keeps
    column_kept: dict[str, Floats]  # by block: (W_b,) share of the whole variance that is kept of each column
    dimension_share: Doubles  # (D,) share of the variance along each dimension, where they are uncorrelated
    loadings: dict[str, Floats]  # by block: (W_b, D) correlation of column and dimension


def fit_reducer(
    columns: Products,
    widths: Mapping[str, int],
    weights: Mapping[str, float],
    dim: int,
    reduction: Reduction,
    seed: int,
    training_rows: Callable[[], Floats],
) -> Reducer:
    """Give every block its weight in variance, and fit the reduction of all columns to `dim` dimensions.

    Means, scales and the reduction come from training items only; equal input gives equal output; signs are fixed; the
    result's root mean square over training items is 1. Dimensions beyond the data's rank are zeros.

    Args:
        columns: of the training items' columns with themselves.
        widths: by block, its number of columns W_b, in their order.
        weights: by block, the standard deviation that the whole block gets.
        dim: D.
        reduction: `pca`; `pca_whitened`, with dimensions of equal variance; `svd`, PCA without centring, so that
            columns that are 0 for an item stay near 0; `autoencoder`, with one hidden layer in the encoder and one in the decoder.
        seed: of the autoencoder's weights and batches; the other reductions are deterministic.
        training_rows: gives the training items' columns (n, W), of which the autoencoder learns; the others need the sums only.

    Raises:
        EncoderError: fewer than two training items, or nothing varies among them.
    """
    if columns.count < 2:
        raise EncoderError(
            f"{reduction}: expected at least 2 items with training events; found {columns.count}. Give more ratings."
        )
    covariance = columns.mean_product
    by_block = np.split(np.diag(covariance), cuts(widths))
    scales = []
    for (name, width), variance in zip(widths.items(), by_block, strict=True):
        total = float(np.sqrt(variance.sum()))
        scales.append(np.full(width, weights[name] / total if total > 1e-9 else 0.0))
    reducer = Reducer(columns.left.astype(np.float32), np.concatenate(scales).astype(np.float32), ())
    scale = reducer.scale.astype(np.float64)
    covariance = covariance * scale[:, None] * scale
    if not np.diag(covariance).any():
        raise EncoderError(
            f"{reduction}: expected items that differ; found all alike. Give metadata or texts, or raise a block's weight."
        )
    if reduction == "autoencoder":
        return reducer._replace(layers=nonlinear_layers(reducer.scaled(training_rows()), dim, seed))
    return reducer._replace(layers=(linear_layer(covariance, columns.left * scale, dim, reduction),))


def cuts(widths: Mapping[str, int]) -> list[int]:
    """Where the columns of one block end and those of the next one begin."""
    ends: list[int] = np.cumsum(list(widths.values())).tolist()
    return ends[:-1]


def linear_layer(covariance: Doubles, mean: Doubles, dim: int, reduction: Reduction) -> Layer:
    """The layer that projects on the strongest directions of the training items, by one eigendecomposition.

    Args:
        covariance: (W, W) of scaled columns.
        mean: (W,) of columns that are scaled and not centred.
        dim: D.
        reduction: see `fit_reducer`.
    """
    moment = covariance + np.outer(mean, mean) if reduction == "svd" else covariance
    kept = min(dim, len(moment))
    variances, directions = eigh(moment, subset_by_index=[len(moment) - kept, len(moment) - 1])
    strong = variances > LEAST_VARIANCE * variances[-1]
    variances, directions = variances[strong][::-1], directions[:, strong][:, ::-1]
    directions = directions * np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])
    if reduction == "pca_whitened":
        directions, variances = directions / np.sqrt(variances), np.ones_like(variances)
    directions = directions / np.sqrt(variances.sum() / dim)
    bias = mean @ directions if reduction == "svd" else np.zeros(directions.shape[1])
    missing = dim - directions.shape[1]
    return np.pad(directions, ((0, 0), (0, missing))).astype(np.float32), np.pad(bias, (0, missing)).astype(np.float32)


def nonlinear_layers(rows: Floats, dim: int, seed: int) -> tuple[Layer, ...]:
    """The two layers of an autoencoder's encoder that was fitted to the scaled rows (n, W) of the training items; signs fixed."""
    # Adam's step size fits values near 1.
    scale = np.float32(np.sqrt(rows.shape[1] / np.square(rows, dtype=np.float64).sum(axis=1).mean()))
    given = torch.from_numpy(rows * scale)
    model = fit_autoencoder(given, HIDDEN, dim, STEPS, BATCH, seed)
    seen = model.encode(given).numpy()
    mean = seen.mean(axis=0, dtype=np.float64).astype(np.float32)
    seen = seen - mean
    signs = np.sign(seen[np.abs(seen).argmax(axis=0), np.arange(dim)])
    signs = (signs / np.sqrt(np.square(seen, dtype=np.float64).mean())).astype(np.float32)
    (first, first_bias), (second, second_bias) = model.encoding_layers()
    return (first * scale, first_bias), (second * signs, (second_bias - mean) * signs)


def measure_kept(
    widths: Mapping[str, int], reducer: Reducer, columns: Products, cross: Products, spread: Products
) -> Kept:
    """What the embedding keeps of every block.

    Args:
        widths: as of `fit_reducer`.
        reducer: that made the embedding.
        columns: as of `fit_reducer`.
        cross: of the training items' scaled columns and embeddings.
        spread: of their embeddings with themselves.
    """
    covariance = cross.mean_product  # (W, D)
    readout = covariance @ np.linalg.pinv(spread.mean_product, rcond=1e-6, hermitian=True)  # (W, D)
    variance = np.diag(columns.mean_product) * np.square(reducer.scale, dtype=np.float64)
    kept = np.clip((readout * covariance).sum(axis=1), 0, variance)
    total = float(variance.sum())
    size = np.sqrt(variance[:, None] * np.diag(spread.mean_product)[None, :])
    loadings = np.divide(covariance, size, out=np.zeros_like(covariance), where=size > 0).astype(np.float32)

    def by_block(values: Doubles) -> dict[str, float]:
        return {name: float(part.sum()) for name, part in zip(widths, np.split(values, cuts(widths)), strict=True)}

    own, retained = by_block(variance), by_block(kept)
    return Kept(
        explained_variance=float(kept.sum() / total),
        variance_share={name: value / total for name, value in own.items()},
        kept_share={name: retained[name] / value if value > 0 else 0.0 for name, value in own.items()},
        column_kept=dict(zip(widths, np.split((kept / total).astype(np.float32), cuts(widths)), strict=True)),
        dimension_share=(readout * covariance).sum(axis=0) / total,
        loadings=dict(zip(widths, np.split(loadings, cuts(widths)), strict=True)),
    )
