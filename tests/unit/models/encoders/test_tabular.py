import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from items_support import built, items_of

from models.encoders.blocks import BLOCKS
from models.encoders.tabular import Fit, column_moments, scaling, standardised, terms_block

LISTS = st.lists(st.tuples(st.lists(st.sampled_from("abcdef"), max_size=5), st.booleans()), min_size=1, max_size=12)


@given(LISTS, st.integers(1, 3), st.integers(1, 4))
def test_multi_hot_equals_counting_by_hand(rows: list[tuple[list[str], bool]], least: int, most: int) -> None:
    lists, train = [terms for terms, _ in rows], np.array([known for _, known in rows])
    carried = {term: sum(term in terms for terms, known in rows if known) for term in "abcdef"}
    frequent = sorted((t for t in carried if carried[t] >= least), key=lambda t: (-carried[t], t))[:most]
    columns = terms_block("x", {"": "x"}, least=least, most=most, weight=1, note="")
    block = built(columns, items_of(train.tolist(), {"x": lists}))
    assert block.names == frequent
    assert block.values.dtype == np.float32
    assert block.values.tolist() == [[float(term in terms) for term in frequent] for terms in lists]
    assert block.known.tolist() == [any(term in terms for term in frequent) for terms in lists]


def test_no_such_column_is_an_empty_block() -> None:
    columns = terms_block("x", {"": "x"}, least=1, most=5, weight=1, note="")
    assert columns.apply(Fit([]), items_of([True] * 3)).values.shape == (3, 0)


def test_means_and_deviations_come_from_training_items() -> None:
    train = np.array([True, True, True, False])
    columns = {"x": np.array([1.0, 2.0, 3.0, 1e6]), "gap": np.array([np.nan, 2.0, 4.0, np.nan])}
    values = standardised(columns, scaling(column_moments(columns, train)))
    assert abs(values[:3, 0].mean()) < 1e-6
    assert values[3, 0] == 5  # clipped, and no part of the mean
    assert values[0, 1] == 0
    items = items_of(train.tolist(), numbers=columns | {"never": np.full(4, np.nan)})
    block = built(BLOCKS["numbers"], items)
    assert block.names == ["x", "gap", "x unknown", "gap unknown"]
    assert block.values[:, 3].tolist() == [1, 0, 0, 1]
