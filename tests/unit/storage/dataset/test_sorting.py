"""Sorting gives the same histories for any number of runs and any order of events."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ratings_support import concatenated, events_of

from storage.dataset import sorting
from storage.dataset.histories import EventBlock
from storage.dataset.sorting import merged_histories, sorted_histories, stable_order
from storage.errors import SourceError

ITEMS = 5
Event = tuple[int, int, int, int]
DTYPES = (np.int64, np.int64, np.int32, np.uint8, np.int64)
events = st.lists(
    st.tuples(st.integers(-2, 4), st.integers(0, ITEMS - 1), st.integers(1, 10), st.integers(0, 6)), max_size=60
)


def blocks_of(rows: list[Event], size: int) -> list[EventBlock]:
    kinds = (np.int64, np.int32, np.uint8, np.int64)
    parts = [rows[begin : begin + size] for begin in range(0, len(rows), size)]
    return [
        EventBlock(*(np.array(column, kind) for column, kind in zip(zip(*part, strict=True), kinds, strict=True)))
        for part in parts
    ]


def by_definition(rows: list[Event]) -> tuple[list[Event], dict[str, Any]]:
    ordered = sorted(rows, key=lambda row: (row[0], row[3]))  # stable
    kept: dict[tuple[int, int, int], Event] = {}
    contradicting = 0
    for row in ordered:
        first = kept.setdefault((row[0], row[3], row[1]), row)
        contradicting += first[2] != row[2]
    facts = {"events": len(kept), "dropped_repeated": len(rows) - len(kept), "of_these_contradicting": contradicting}
    facts |= {"users": len({row[0] for row in rows}), "rated_movies": len({row[1] for row in rows})}
    times = [row[3] for row in rows]
    return list(kept.values()), facts | {"first_timestamp": min(times), "last_timestamp": max(times)}


@settings(max_examples=150, deadline=None)
@given(
    rows=events.filter(bool), size=st.integers(1, 70), run_events=st.integers(1, 70), block_events=st.integers(1, 70),
    sorted_events=st.integers(1, 70), grouped=st.booleans(),
)  # fmt: skip
def test_any_runs_and_blocks_equal_the_definition(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Event],
    size: int,
    run_events: int,
    block_events: int,
    sorted_events: int,
    grouped: bool,
) -> None:
    if grouped:
        rows.sort(key=lambda row: row[0])
    scratch, facts = tmp_path_factory.mktemp("runs"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "SORTED_EVENTS", sorted_events)
        got = list(
            sorted_histories(
                blocks_of(rows, size), ITEMS, facts, run_events=run_events, block_events=block_events, scratch=scratch
            )
        )
    expected, expected_facts = by_definition(rows)
    whole = concatenated(got)
    assert events_of(whole) == expected
    assert facts == expected_facts
    assert (np.diff(whole.user_id) > 0).all()
    assert all(column.dtype == kind for column, kind in zip(whole, DTYPES, strict=True))
    assert not list(scratch.iterdir())


def test_long_histories_with_long_ties() -> None:
    rng = np.random.default_rng(0)
    columns = (
        rng.integers(0, 3, 9000),
        rng.integers(0, ITEMS, 9000),
        rng.integers(1, 11, 9000),
        rng.integers(0, 40, 9000) * 10**8,
    )
    rows = [tuple(row) for row in np.stack(columns, 1).tolist()]
    facts: dict[str, Any] = {}
    whole = concatenated(sorted_histories(blocks_of(rows, 1000), ITEMS, facts))
    assert (events_of(whole), facts) == by_definition(rows)


def test_scratch_is_left_clean_when_the_reader_stops(tmp_path: Path) -> None:
    rows = [(user, 0, 1, user) for user in range(50)]
    stream = sorted_histories(blocks_of(rows, 7), ITEMS, {}, run_events=10, block_events=3, scratch=tmp_path)
    next(stream)
    assert list(tmp_path.iterdir())
    stream.close()
    assert not list(tmp_path.iterdir())


def test_an_item_beyond_their_number_is_refused() -> None:
    with pytest.raises(IndexError):
        list(sorted_histories(blocks_of([(1, ITEMS, 1, 1)], 9), ITEMS, {}))


def test_no_events_are_no_histories() -> None:
    with pytest.raises(SourceError, match="found none"):
        concatenated(sorted_histories([], ITEMS, {}))


@settings(max_examples=100, deadline=None)
@given(rows=events.filter(bool), later=events.filter(bool))
def test_merged_histories_are_those_of_all_events(rows: list[Event], later: list[Event]) -> None:
    one, other = (concatenated(sorted_histories(blocks_of(part, 99), ITEMS, {})) for part in (rows, later))
    merged, repeated = merged_histories(one, other)
    expected, facts = by_definition(rows + later)
    assert events_of(merged) == expected
    assert repeated == len(one.item) + len(other.item) - facts["events"]
    assert all(column.dtype == kind for column, kind in zip(merged, DTYPES, strict=True))


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40),
    factors=st.sampled_from([(1, 1), (1, 2**32 - 1 >> 2), (2**40, 1), (2**60, 2**60)]),
)
def test_stable_order_is_that_of_lexsort(rows: list[tuple[int, int]], factors: tuple[int, int]) -> None:
    group, value = np.array(rows, np.int64).T * np.array(factors)[:, None]
    assert stable_order(group, value).tolist() == np.lexsort((value, group)).tolist()
