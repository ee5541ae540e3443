import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import SourceError
from storage.sources.generic.ids import check_collisions, hashed_seconds, stable_id, stable_ids


@pytest.mark.parametrize(("text", "expected"), [("0", 0), ("42", 42), ("9" * 18, 10**18 - 1)])
def test_plain_numbers_stand_for_themselves(text: str, expected: int) -> None:
    assert stable_id(text) == expected


@pytest.mark.parametrize("text", ["007", "9" * 19, "-1", "1.0", " 1", "1\n", "٣", "", "N1234", "034545104X"])
def test_other_texts_are_hashed(text: str) -> None:
    assert 0 <= stable_id(text) < 2**63
    assert str(stable_id(text)) != text


def test_hashes_are_the_same_in_every_run() -> None:
    assert stable_id("034545104X") == 5_037_393_301_943_644_224


@given(st.lists(st.one_of(st.text(max_size=5), st.integers(0, 50).map(str))))
def test_many_at_once_are_as_one_by_one(texts: list[str]) -> None:
    expected = [stable_id(text) for text in texts]
    assert stable_ids(texts).tolist() == expected
    assert stable_ids(pa.array(texts * 2, pa.string())).tolist() == expected * 2
    assert stable_ids(texts).dtype == np.int64


def test_two_texts_with_one_id_are_refused() -> None:
    check_collisions(["a", "b", "a"], np.array([1, 2, 1]), "items.csv")
    with pytest.raises(SourceError, match=r"items.csv: expected different numbers .* found 7 for both 'a' and 'b'"):
        check_collisions(["a", "c", "b"], np.array([7, 3, 7]), "items.csv")


def test_hashed_seconds_are_splitmix64_of_item_and_user() -> None:
    """Written out with Python's unbounded integers: a changed hash would change every dataset made with it."""

    def mixed(state: int) -> int:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        return state ^ (state >> 31)

    assert mixed(0) == 0xE220A8397B1DCDAF  # the published first output for seed 0
    pairs = [(0, 0), (1, 0), (0, 1), (314, 1), (2**63 - 1, 2**62)]
    users, items = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    assert hashed_seconds(users, items).tolist() == [mixed(mixed(item) ^ user) >> 33 for user, item in pairs]
