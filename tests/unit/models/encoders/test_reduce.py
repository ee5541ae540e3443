from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA, TruncatedSVD

from models.encoders.reduce import Reduction, fit_scales, join_blocks, reduce_blocks
from models.errors import EncoderError

RNG = np.random.default_rng(0)
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)
TRAIN = np.arange(60) < 50
WEIGHTS = {"a": 1.0, "b": 0.5}


def some_blocks() -> dict[str, NDArray[np.float32]]:
    hidden = RNG.normal(size=(60, 3))
    return {
        "a": (hidden @ RNG.normal(size=(3, 8)) + RNG.normal(0, 0.3, (60, 8)) + 2).astype(np.float32),
        "b": RNG.normal(size=(60, 4)).astype(np.float32),
    }


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_deterministic_scaled_and_blind_to_items_outside_training(reduction: Reduction) -> None:
    blocks = some_blocks()
    reduced = reduce_blocks(blocks, WEIGHTS, 6, TRAIN, reduction)
    assert reduced.embedding.shape == (60, 6)
    assert reduced.embedding.dtype == np.float32
    assert np.isclose(np.square(reduced.embedding[TRAIN]).mean(), 1, atol=1e-4)
    changed = {name: block.copy() for name, block in blocks.items()}
    changed["a"][55:] = 77
    again = reduce_blocks(changed, WEIGHTS, 6, TRAIN, reduction)
    np.testing.assert_array_equal(again.embedding[:55], reduced.embedding[:55])
    assert not np.array_equal(again.embedding[55:], reduced.embedding[55:])


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_shares_of_variance_add_up(reduction: Reduction) -> None:
    reduced = reduce_blocks(some_blocks(), WEIGHTS, 5, TRAIN, reduction)
    assert np.isclose(sum(reduced.variance_share.values()), 1)
    assert np.isclose(reduced.variance_share["a"], 1 / 1.25, atol=1e-5)
    kept = sum(reduced.variance_share[name] * reduced.kept_share[name] for name in WEIGHTS)
    assert np.isclose(kept, reduced.explained_variance)
    assert 0.5 < reduced.explained_variance < 1
    assert type(reduced.variance_share["a"]) is float
    assert np.isclose(sum(part.sum() for part in reduced.column_kept.values()), reduced.explained_variance, atol=1e-4)


def test_pca_is_the_one_of_the_books() -> None:
    blocks = some_blocks()
    joined = join_blocks(list(blocks.values()), *fit_scales(blocks, WEIGHTS, TRAIN))
    book = PCA(5).fit(joined[TRAIN])
    reduced = reduce_blocks(blocks, WEIGHTS, 5, TRAIN)
    assert np.isclose(reduced.explained_variance, book.explained_variance_ratio_.sum(), atol=1e-4)
    np.testing.assert_allclose(reduced.dimension_share, book.explained_variance_ratio_, atol=1e-4)
    expected = book.transform(joined)
    expected /= np.sqrt(np.square(expected[TRAIN]).mean())
    np.testing.assert_allclose(np.abs(reduced.embedding), np.abs(expected), atol=2e-3)


def test_truncated_svd_is_the_one_of_the_books() -> None:
    blocks = some_blocks()
    mean, scale = fit_scales(blocks, WEIGHTS, TRAIN)
    joined, mean = join_blocks(list(blocks.values()), mean, scale), mean * scale
    expected = TruncatedSVD(5, algorithm="arpack", random_state=0).fit(joined[TRAIN] + mean).transform(joined + mean)
    expected /= np.sqrt(np.square(expected[TRAIN]).mean())
    found = reduce_blocks(blocks, WEIGHTS, 5, TRAIN, "svd").embedding
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=2e-3)
    assert abs(found[TRAIN, 0].mean()) > 1  # not centred, unlike PCA's


def test_whitened_dimensions_have_equal_variance() -> None:
    embedding = reduce_blocks(some_blocks(), WEIGHTS, 5, TRAIN, "pca_whitened").embedding[TRAIN]
    np.testing.assert_allclose(np.cov(embedding.T, bias=True), np.eye(5), atol=1e-3)


def test_the_autoencoder_follows_its_seed_and_keeps_what_varies_most() -> None:
    blocks = some_blocks()
    one, same, other = (reduce_blocks(blocks, WEIGHTS, 4, TRAIN, "autoencoder", seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.embedding, same.embedding)
    assert not np.array_equal(one.embedding, other.embedding)
    assert one.kept_share["a"] > 0.8


def test_signs_are_fixed() -> None:
    blocks = some_blocks()
    mirrored = {"a": -blocks["a"], "b": -blocks["b"]}
    one, other = (reduce_blocks(given, WEIGHTS, 4, TRAIN) for given in (blocks, mirrored))
    np.testing.assert_allclose(one.embedding, -other.embedding, atol=1e-4)


def test_more_dimensions_than_rank_are_zeros_and_sameness_is_refused() -> None:
    blocks = {"a": RNG.normal(size=(10, 3)).astype(np.float32)}
    everything = np.ones(10, dtype=bool)
    for reduction in ("pca", "pca_whitened", "svd"):
        assert not reduce_blocks(blocks, {"a": 1.0}, 5, everything, reduction).embedding[:, 3:].any()
    with pytest.raises(EncoderError, match="found all alike"):
        reduce_blocks({"a": np.ones((10, 3), np.float32)}, {"a": 1.0}, 2, everything)
    with pytest.raises(EncoderError, match="at least 2 items"):
        reduce_blocks(blocks, {"a": 1.0}, 2, np.zeros(10, dtype=bool))
