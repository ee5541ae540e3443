"""Sums of parts are those of the whole, whatever the parts and the order in which they are added."""

import operator
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from all_columns_support import all_columns
from hypothesis import given, settings
from hypothesis import strategies as st
from items_support import at_once, part_of

from models.encoders.blocks import BLOCKS
from models.encoders.passes import MemoryPartition, embed_partitions, total
from models.encoders.sums import Moments, Products, Sums

ITEMS = all_columns()
ROWS = len(ITEMS.train)
CUTS = st.lists(st.integers(1, ROWS - 1), max_size=5, unique=True).map(lambda cuts: [0, *sorted(cuts), ROWS])


def numbers(found: Any) -> Any:
    """Sums as plain values that pytest compares within rounding."""
    if isinstance(found, Sums):
        return {name: numbers(value) for name, value in found.items()}
    if isinstance(found, Moments | Products):
        return [np.asarray(value).tolist() for value in vars(found).values()]
    return found


def close(found: Any, expected: Any) -> bool:
    """Whether sums are equal but for rounding; counts are equal."""
    if isinstance(found, dict):
        return found.keys() == expected.keys() and all(close(found[name], expected[name]) for name in found)
    if isinstance(found, list):
        return all(np.allclose(one, other, rtol=1e-9, atol=1e-9) for one, other in zip(found, expected, strict=True))
    return bool(found == expected)


@pytest.mark.parametrize("name", BLOCKS)
@settings(deadline=None, max_examples=10)
@given(cuts=CUTS, left=st.booleans())
def test_every_block_adds_up_whatever_the_parts_and_their_order(name: str, cuts: list[int], left: bool) -> None:
    parts = [BLOCKS[name].collect(part_of(ITEMS, slice(*ends))) for ends in pairwise(cuts)]
    added = reduce(operator.add, parts) if left else reduce(lambda sums, part: part + sums, reversed(parts))
    whole = BLOCKS[name].collect(ITEMS)
    assert close(numbers(added), numbers(whole))
    fit, expected = BLOCKS[name].finish(added), BLOCKS[name].finish(whole)
    assert fit.names == expected.names
    for key, array in expected.arrays.items():
        np.testing.assert_allclose(fit.arrays[key], array, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=6), min_size=1, max_size=5))
def test_moments_are_those_of_numpy(parts: list[list[float]]) -> None:
    added = reduce(operator.add, [Moments.of(np.array(part)) for part in parts])
    known = np.array([value for part in parts for value in part if not np.isnan(value)])
    assert added.count == len(known)
    if len(known):
        assert np.isclose(added.mean, known.mean(), rtol=1e-9, atol=1e-6)
        assert np.isclose(added.variance, known.var(), rtol=1e-9, atol=1e-3)


@settings(deadline=None, max_examples=30)
@given(cuts=CUTS, seed=st.integers(0, 99))
def test_products_are_the_covariance(cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = (rng.normal(3, 1, (ROWS, width)).astype(np.float32) for width in (3, 2))
    parts = [Products.of(left[first:last], right[first:last]) for first, last in pairwise(cuts)]
    added = reduce(operator.add, parts)
    expected = np.cov(left.T, right.T, bias=True)[:3, 3:]
    np.testing.assert_allclose(added.mean_product, expected, atol=1e-5)
    np.testing.assert_allclose(added.left, left.mean(axis=0, dtype=np.float64))


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 12])
def test_partitions_are_added_in_their_order(count: int) -> None:
    assert total(at_once, lambda name, end: f"{name}{end}", list("abcdefghijkl"[:count]), "") == "abcdefghijkl"[:count]


def test_the_embedding_does_not_depend_on_the_size_of_partitions() -> None:
    weights = {name: block.weight for name, block in BLOCKS.items()}
    found = []
    for size in (ROWS, 7):
        partitions = [MemoryPartition(part_of(ITEMS, slice(at, min(at + size, ROWS)))) for at in range(0, ROWS, size)]
        embedded = embed_partitions(at_once, partitions, weights, 7)
        found.append((embedded, np.concatenate([partition.read("embedding") for partition in partitions])))
    (one, embedding), (other, again) = found
    np.testing.assert_allclose(again, embedding, atol=1e-5)
    assert {name: fit.names for name, fit in one.fits.items()} == {name: fit.names for name, fit in other.fits.items()}
    assert one.known == other.known
