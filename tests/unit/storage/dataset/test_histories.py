"""Sorting: the same histories however many runs there were, in whatever order the events came."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ratings_support import concatenated, events_of

from storage.compiled import helper
from storage.dataset.histories import EventBlock, events_table, sort_purely, sorted_histories
from storage.dataset.scale import RatingScale
from storage.errors import SourceError
from storage.tables import EVENTS_SCHEMA

ITEMS = 5
Event = tuple[int, int, int, int]
events = st.lists(
    st.tuples(st.integers(-2, 4), st.integers(0, ITEMS - 1), st.integers(1, 10), st.integers(0, 6)), max_size=60
)


@pytest.fixture(params=["compiled", "pure"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test runs both ways."""
    if request.param == "pure":
        monkeypatch.setenv("MARQUEE_PURE", "1")
    elif helper("_ratings") is None:
        pytest.skip("storage._ratings is not built")
    return str(request.param)


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
    grouped=st.booleans(),
)  # fmt: skip
def test_any_runs_and_blocks_equal_the_definition(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Event],
    size: int,
    run_events: int,
    block_events: int,
    grouped: bool,
) -> None:
    if grouped:
        rows.sort(key=lambda row: row[0])
    scratch, facts = tmp_path_factory.mktemp("runs"), {}
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
    assert not list(scratch.iterdir())


def test_long_histories_with_long_ties(way: str) -> None:
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


def test_scratch_is_left_clean_when_the_reader_stops(way: str, tmp_path: Path) -> None:
    rows = [(user, 0, 1, user) for user in range(50)]
    stream = sorted_histories(blocks_of(rows, 7), ITEMS, {}, run_events=10, block_events=3, scratch=tmp_path)
    next(stream)
    assert list(tmp_path.iterdir())
    stream.close()
    assert not list(tmp_path.iterdir())


def test_compiled_sort_refuses_what_does_not_fit(way: str) -> None:
    sort: Any = sort_purely
    if way == "compiled":
        sort = helper("_ratings").sort  # type: ignore[union-attr]
        with pytest.raises(ValueError, match="sum to the events"):
            sort(
                np.array([3]),
                np.zeros(2, np.int32),
                np.zeros(2, np.uint8),
                np.zeros(2, np.uint32),
                np.zeros(1, np.uint8),
            )
    with pytest.raises((ValueError, IndexError)):
        sort(np.array([1]), np.array([7], np.int32), np.ones(1, np.uint8), np.ones(1, np.uint32), np.zeros(5, np.uint8))


def test_events_table(way: str) -> None:
    scale = RatingScale(lowest=1, highest=10, step=1)
    whole = concatenated(sorted_histories(blocks_of([(9, 1, 10, 4), (3, 0, 1, 5)], 9), ITEMS, {}))
    table = events_table(whole, np.array([20, 40, 60, 80, 100]), scale)
    assert table.schema == EVENTS_SCHEMA
    assert table.to_pydict() == {"user_id": [3, 9], "movie_id": [20, 40], "rating": [1.0, 10.0], "timestamp": [5, 4]}
    assert isinstance(table, pa.Table)
    with pytest.raises(SourceError, match="found none"):
        concatenated([])
