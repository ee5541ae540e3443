"""Further items get the rows and embeddings that they would have had among the items that the features were fitted for."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from items_support import events_of, items_of

from models.encoders.blocks import BLOCKS
from models.encoders.columns import NO_EVENTS, Genome, ItemColumns, Terms
from models.encoders.fitted import FittedFeatures
from models.encoders.reduce import Reduction, reduce_blocks
from models.errors import EncoderError

ITEMS, RATED = 30, 24
COLUMNS = ("genres", "metadata_genres", "countries", "languages", "original_language", "companies", "collection", "cast",
           "directors", "writers", "certification", "keywords", "title_type", "status", "adult", "tags")  # fmt: skip
WORDS = ("captain", "ship", "storm", "island", "letter", "harbour")


def all_columns() -> ItemColumns:
    """Items with data for every block; the last ones have no events, tags or genome."""
    rng = np.random.default_rng(0)

    def some(words: tuple[str, ...], share: float = 0.5) -> list[str]:
        return [word for word in words if rng.random() < share]

    lists = {name: [some(("a", "b", "c")) for _ in range(ITEMS)] for name in COLUMNS}
    lists["tags"][RATED:] = [[]] * (ITEMS - RATED)
    relevance, known = rng.random((ITEMS, 5), dtype=np.float32), np.arange(ITEMS) < RATED
    relevance[RATED:] = 0
    vectors = rng.normal(size=(ITEMS, 6)).astype(np.float32)
    numbers = {name: rng.uniform(1, 100, ITEMS).tolist() for name in ("year", "vote_count", "release_month")}
    numbers["year"][2] = numbers["vote_count"][RATED] = np.nan
    events = [
        (user, int(item), float(rng.integers(1, 6)), 10 * user)
        for user in range(20)
        for item in rng.permutation(RATED)[:8]
    ]
    texts = [" ".join(some(WORDS)) for _ in range(ITEMS)]
    train = [item in {event[1] for event in events} for item in range(ITEMS)]
    assert train == known.tolist()
    return items_of(train, lists, numbers, texts, vectors, events_of(events), Genome(relevance, known, list("vwxyz")))


def further_of(items: ItemColumns) -> ItemColumns:
    """The items without events, by themselves; terms that no rated item has are among theirs."""
    place = np.arange(RATED, ITEMS)

    def terms_of(terms: Terms) -> Terms:
        own = terms.item >= RATED
        new = Terms(terms.item[own] - RATED, terms.code[own] + 1, ["unheard of", *terms.vocabulary])
        return replace(new, item=np.append(new.item, 0), code=np.append(new.code, 0))

    return ItemColumns(
        train=items.train[place],
        events=NO_EVENTS,
        text_vectors=items.text_vectors[place],
        texts=items.texts[RATED:],
        terms={name: terms_of(terms) for name, terms in items.terms.items() if name != "tags"},
        numbers={name: values[place] for name, values in items.numbers.items()},
    )


def fitted(reduction: Reduction = "pca") -> tuple[FittedFeatures, np.ndarray]:
    """The fitted features of all items, and the embeddings of those without events."""
    items = all_columns()
    blocks = {name: build(items) for name, build in small_builds().items()}
    values = {name: block.values for name, block in blocks.items()}
    reduced = reduce_blocks(values, {name: BLOCKS[name].weight for name in blocks}, 7, items.train, reduction)
    features = FittedFeatures({name: block.fit for name, block in blocks.items()}, reduced.reducer, {"weights": "w"})
    return features, reduced.embedding[RATED:]


def small_builds() -> dict[str, Callable[[ItemColumns], Any]]:
    """The blocks; words need one item only."""
    return {name: (lambda items, of=block: of.build(items)) for name, block in BLOCKS.items()}


@pytest.mark.parametrize("name", BLOCKS)
def test_each_block_gives_a_further_item_the_row_that_it_has_among_all(name: str) -> None:
    items = all_columns()
    block = BLOCKS[name].build(items)
    assert block.values.shape[1] > 0
    rows = BLOCKS[name].rows(block.fit, further_of(items))
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, block.values[RATED:], atol=1e-6)


@pytest.mark.parametrize("reduction", get_args(Reduction))
def test_a_further_item_gets_the_embedding_that_it_has_among_all(reduction: Reduction) -> None:
    features, embedding = fitted(reduction)
    assert np.abs(embedding).max() > 0.1
    np.testing.assert_allclose(features.embed(further_of(all_columns())), embedding, atol=1e-5)
    again = FittedFeatures.from_arrays(json.loads(json.dumps(features.config())), features.arrays())
    np.testing.assert_array_equal(again.embed(further_of(all_columns())), features.embed(further_of(all_columns())))


@pytest.mark.parametrize(
    ("config", "arrays"),
    [
        ({"format": "marquee-features/0"}, {}),
        ({"blocks": {"nothing": ["x"]}}, {}),
        ({"layers": 2}, {}),
        ({"more": 1}, {}),
        ({}, {"mean": np.zeros(3, np.float32)}),
        ({}, {"scale": np.full(1, np.nan, np.float32)}),
        ({}, {"text_terms.idf": np.zeros(1)}),
        ({}, {"numbers.mean": np.zeros(0)}),
        ({}, {"layers.0.weight": np.zeros((2, 2), np.float32)}),
    ],
)
def test_what_does_not_fit_together_is_refused(config: dict[str, Any], arrays: dict[str, Any]) -> None:
    features, _ = fitted()
    with pytest.raises(EncoderError, match="expected valid ones of format marquee-features/1"):
        FittedFeatures.from_arrays(features.config() | config, features.arrays() | arrays)
    with pytest.raises(EncoderError, match="expected valid ones"):
        FittedFeatures.from_arrays("nothing", {})
