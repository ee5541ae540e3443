"""Further items get the rows and embeddings that they would have had among the items that the features were fitted for."""

import json
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from all_columns_support import ITEMS, RATED, all_columns
from items_support import at_once, built

from models.encoders.blocks import BLOCKS
from models.encoders.columns import ItemColumns, Terms
from models.encoders.fitted import FittedFeatures
from models.encoders.passes import MemoryPartition, embed_partitions
from models.encoders.reduce import Reduction
from models.errors import EncoderError


def further_of(items: ItemColumns) -> ItemColumns:
    """The items without events, by themselves; terms that no rated item has are among theirs."""
    place = np.arange(RATED, ITEMS)

    def terms_of(terms: Terms) -> Terms:
        own = terms.item >= RATED
        new = Terms(terms.item[own] - RATED, terms.code[own] + 1, ["unheard of", *terms.vocabulary])
        return replace(new, item=np.append(new.item, 0), code=np.append(new.code, 0))

    return ItemColumns(
        train=items.train[place],
        text_vectors=items.text_vectors[place],
        texts=items.texts[RATED:],
        terms={name: terms_of(terms) for name, terms in items.terms.items() if name != "tags"},
        numbers={name: values[place] for name, values in items.numbers.items()},
    )


def fitted(reduction: Reduction = "pca") -> tuple[FittedFeatures, np.ndarray]:
    """The fitted features of all items, and the embeddings of those without events."""
    partition = MemoryPartition(all_columns())
    weights = {name: block.weight for name, block in BLOCKS.items()}
    found = embed_partitions(at_once, [partition], weights, 7, reduction)
    return FittedFeatures(found.fits, found.reducer, {"weights": "w"}), partition.read("embedding")[RATED:]


@pytest.mark.parametrize("name", BLOCKS)
def test_each_block_gives_a_further_item_the_row_that_it_has_among_all(name: str) -> None:
    items = all_columns()
    block = built(BLOCKS[name], items)
    assert block.values.shape[1] > 0
    rows = BLOCKS[name].apply(block.fit, further_of(items)).values
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
