from collections.abc import Mapping
from typing import NamedTuple, get_args

import numpy as np
import pytest
from items_support import at_once, items_of
from numpy.typing import NDArray
from sklearn.decomposition import PCA, TruncatedSVD

from models.encoders.passes import MemoryPartition, reduce
from models.encoders.reduce import Kept, Reducer, Reduction
from models.encoders.sums import Products
from models.errors import EncoderError

RNG = np.random.default_rng(0)
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)
TRAIN = np.arange(60) < 50
WEIGHTS = {"a": 1.0, "b": 0.5}
Blocks = Mapping[str, NDArray[np.float32]]


class Reduced(NamedTuple):
    embedding: NDArray[np.float32]
    scaled: NDArray[np.float32]
    reducer: Reducer
    kept: Kept


def reduce_blocks(
    blocks: Blocks, weights: Mapping[str, float], dim: int, train: NDArray[np.bool_], reduction: Reduction = "pca",
    seed: int = 0, parts: int = 2,
) -> Reduced:  # fmt: skip
    """The reduction of blocks (I, W_b) in parts."""
    columns = np.concatenate(list(blocks.values()), axis=1)
    pairs = list(zip(np.array_split(columns, parts), np.array_split(train, parts), strict=True))
    partitions = [MemoryPartition(items_of(known.tolist()), columns=rows, train=known) for rows, known in pairs]
    first, *others = (Products.of(training, training) for rows, known in pairs for training in [rows[known]])
    widths = {name: block.shape[1] for name, block in blocks.items()}
    reducer, kept = reduce(at_once, partitions, sum(others, first), widths, weights, dim, reduction, seed)
    embedding = np.concatenate([partition.read("embedding") for partition in partitions])
    return Reduced(embedding, reducer.scaled(columns), reducer, kept)


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
    assert np.isclose(sum(reduced.kept.variance_share.values()), 1)
    assert np.isclose(reduced.kept.variance_share["a"], 1 / 1.25, atol=1e-5)
    kept = sum(reduced.kept.variance_share[name] * reduced.kept.kept_share[name] for name in WEIGHTS)
    assert np.isclose(kept, reduced.kept.explained_variance)
    assert 0.5 < reduced.kept.explained_variance < 1
    assert type(reduced.kept.variance_share["a"]) is float
    assert np.isclose(
        sum(part.sum() for part in reduced.kept.column_kept.values()), reduced.kept.explained_variance, atol=1e-4
    )


def test_pca_is_the_one_of_the_books() -> None:
    blocks = some_blocks()
    reduced = reduce_blocks(blocks, WEIGHTS, 5, TRAIN)
    joined = reduced.scaled
    book = PCA(5).fit(joined[TRAIN])
    assert np.isclose(reduced.kept.explained_variance, book.explained_variance_ratio_.sum(), atol=1e-4)
    np.testing.assert_allclose(reduced.kept.dimension_share, book.explained_variance_ratio_, atol=1e-4)
    expected = book.transform(joined)
    expected /= np.sqrt(np.square(expected[TRAIN]).mean())
    np.testing.assert_allclose(np.abs(reduced.embedding), np.abs(expected), atol=2e-3)


def test_truncated_svd_is_the_one_of_the_books() -> None:
    blocks = some_blocks()
    reduced = reduce_blocks(blocks, WEIGHTS, 5, TRAIN, "svd")
    joined, mean = reduced.scaled, reduced.reducer.mean * reduced.reducer.scale
    expected = TruncatedSVD(5, algorithm="arpack", random_state=0).fit(joined[TRAIN] + mean).transform(joined + mean)
    expected /= np.sqrt(np.square(expected[TRAIN]).mean())
    found = reduced.embedding
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
    assert one.kept.kept_share["a"] > 0.8


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


@pytest.mark.parametrize(
    "reduction", [one for one in REDUCTIONS if one != "autoencoder"]
)  # training magnifies rounding
def test_the_number_of_parts_shows_in_no_more_than_rounding(reduction: Reduction) -> None:
    blocks = some_blocks()
    whole, *others = (reduce_blocks(blocks, WEIGHTS, 5, TRAIN, reduction, parts=parts) for parts in (1, 3, 60))
    for other in others:
        np.testing.assert_allclose(other.embedding, whole.embedding, atol=2e-5)
        assert np.isclose(other.kept.explained_variance, whole.kept.explained_variance, atol=1e-6)
