import numpy as np
import pytest

from models.encoders.errors import EncoderError
from models.encoders.reduce import reduce_blocks
from models.encoders.tabular import multi_hot, numeric_block, rating_statistics
from models.encoders.text import TextEncoder, item_text

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.load("minilm", max_tokens=64)


def test_item_text_leaves_out_what_is_unknown() -> None:
    assert item_text("Heat", 1995, ["Crime", "Drama"], None, "A heist.") == "Heat (1995). Crime, Drama. A heist"
    assert item_text(None, None, [], None, None) == ""


def test_meaning_is_near_meaning(encoder: TextEncoder) -> None:
    war, battle, romance = encoder.encode(["soldiers in a war", "a battle of armies", "a wedding and a kiss"])
    assert war @ battle > war @ romance + 0.1
    assert np.isclose(np.linalg.norm(war), 1, atol=1e-3)


def test_order_batches_and_odd_texts(encoder: TextEncoder) -> None:
    texts = ["short", "", "a much longer text about ships and the sea", "nul\x00byte", "word " * 20_000, "   "]
    vectors = encoder.encode(texts)
    assert vectors.shape == (6, 384)
    assert not vectors[1].any()
    assert not vectors[5].any()
    assert np.isfinite(vectors).all()
    for place, text in enumerate(texts):
        np.testing.assert_allclose(encoder.encode([text])[0], vectors[place], atol=2e-5)


def test_unknown_model_names_the_offline_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EncoderError, match="offline encoder: minilm"):
        TextEncoder.load("nobody/has-this-model")


def test_statistics_of_training_items_only() -> None:
    train = np.array([True, True, True, False])
    columns = {"x": np.array([1.0, 2.0, 3.0, 1e6]), "gap": np.array([np.nan, 2.0, 4.0, np.nan])}
    block = numeric_block(columns, train)
    assert block.shape == (4, 4)
    assert abs(block[:3, 0].mean()) < 1e-6
    assert block[3, 0] == 5  # clipped, and no part of the mean
    assert block[:, 3].tolist() == [1, 0, 0, 1]
    assert block[0, 2] == 0


def test_vocabulary_comes_from_training_items() -> None:
    lists = [["a", "b"], ["a"], ["b", "a"], ["c", "c", "b"]]
    block = multi_hot(lists, np.array([True, True, True, False]), min_count=1, max_terms=2)
    assert block.tolist() == [[1, 1], [1, 0], [1, 1], [0, 1]]


def test_rating_statistics_of_cold_items_are_defined() -> None:
    stats = rating_statistics(np.array([0, 0, 1]), np.array([5, 4, 1], np.float32), np.array([10, 20, 30]), items=3)
    assert stats["rating_count"].tolist() == [2, 1, 0]
    assert np.isclose(stats["rating_mean"][2], 10 / 3)
    assert stats["share_liked"][0] == 1
    assert np.isnan(stats["mean_time"][2])


def test_reduction_is_deterministic_scaled_and_blind_to_held_out_items() -> None:
    blocks = {"a": RNG.normal(size=(50, 8)).astype(np.float32), "b": RNG.normal(size=(50, 3)).astype(np.float32)}
    train = np.arange(50) < 40
    reduced = reduce_blocks(blocks, {"a": 1.0, "b": 0.5}, 6, train)
    assert reduced.embedding.shape == (50, 6)
    assert np.isclose(np.square(reduced.embedding[train]).mean(), 1, atol=1e-4)
    assert 0.5 < reduced.explained_variance < 1
    changed = {name: block.copy() for name, block in blocks.items()}
    changed["a"][45:] = 77
    again = reduce_blocks(changed, {"a": 1.0, "b": 0.5}, 6, train)
    np.testing.assert_array_equal(again.embedding[:45], reduced.embedding[:45])


def test_more_dimensions_than_rank_are_zeros_and_sameness_is_refused() -> None:
    blocks = {"a": RNG.normal(size=(10, 3)).astype(np.float32)}
    everything = np.ones(10, dtype=bool)
    assert not reduce_blocks(blocks, {"a": 1.0}, 5, everything).embedding[:, 3:].any()
    with pytest.raises(EncoderError, match="found all alike"):
        reduce_blocks({"a": np.ones((10, 3), np.float32)}, {"a": 1.0}, 2, everything)
    with pytest.raises(EncoderError, match="at least 2 items"):
        reduce_blocks(blocks, {"a": 1.0}, 2, np.zeros(10, dtype=bool))
