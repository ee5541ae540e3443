import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.dataset.item_index import LARGEST_DIRECT_ID, ItemIndex

ids = st.integers(-3, 12) | st.sampled_from([LARGEST_DIRECT_ID - 1, LARGEST_DIRECT_ID, -(2**63), 2**63 - 1])


@settings(max_examples=200, deadline=None)
@given(known=st.sets(ids), wanted=st.lists(ids))
def test_items_are_found_by_their_place(known: set[int], wanted: list[int]) -> None:
    ascending = sorted(known)
    index = ItemIndex(np.array(ascending, np.int64))
    found = index.of(np.array(wanted, np.int64))
    assert found.dtype == np.int32
    assert found.tolist() == [ascending.index(one) if one in known else -1 for one in wanted]
    assert len(index) == len(known)


@pytest.mark.parametrize("largest", [9, LARGEST_DIRECT_ID + 9], ids=["lookup table", "binary search"])
def test_ids_between_and_around(largest: int) -> None:
    index = ItemIndex(np.array([2, 5, largest]))
    assert index.of(np.array([largest, largest + 1, 5, 4, 2, 1, -1])).tolist() == [2, -1, 1, -1, 0, -1, -1]
