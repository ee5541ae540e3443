"""An appended dataset equals one that was built at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage.dataset import extension
from storage.dataset.extension import extend_transitions
from storage.dataset.histories import UserHistories
from storage.dataset.reader import TransitionDataset
from storage.dataset.scale import RatingScale
from storage.dataset.splits import SplitParams, split_later_users, split_users, time_cut
from storage.dataset.writer import write_transitions
from storage.errors import DatasetError

Event = tuple[int, int, int, int]  # user, movie, code, timestamp
SPLITS = SplitParams(seed=3)
OLD_MOVIES, ALL_MOVIES = np.array([2, 5, 9, 11]), np.array([1, 2, 5, 7, 9, 11, 20])
EMBEDDINGS = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
events = st.lists(
    st.tuples(st.integers(1, 9), st.sampled_from([5, 9, 11]), st.integers(1, 10), st.integers(0, 6)), max_size=40
)
later_events = st.lists(
    st.tuples(st.integers(0, 11), st.sampled_from([1, 5, 9, 20]), st.integers(1, 10), st.integers(0, 6)), max_size=40
)


def ingested(rated: list[Event]) -> list[Event]:
    """Stable by user and time, the first of repeated events kept: what ingest makes of a file."""
    seen: set[tuple[int, int, int]] = set()
    kept = []
    for user, movie, code, time in sorted(rated, key=lambda event: (event[0], event[3])):
        if (user, movie, time) not in seen:
            seen.add((user, movie, time))
            kept.append((user, movie, code, time))
    return kept


def histories(rated: list[Event], movies: np.ndarray, users_per_block: int = 100) -> list[UserHistories]:
    ids = sorted({user for user, *_ in rated})
    blocks = []
    for begin in range(0, len(ids), users_per_block):
        users = ids[begin : begin + users_per_block]
        mine = [event for event in rated if event[0] in users]
        column = [np.array([event[place] for event in mine]) for place in range(4)]
        blocks.append(
            UserHistories(
                user_id=np.array(users),
                length=np.array([sum(event[0] == user for event in mine) for user in users]),
                item=np.searchsorted(movies, column[1]).astype(np.int32),
                code=column[2].astype(np.uint8),
                timestamp=column[3],
            )
        )
    return blocks


def write(path: Path, rated: list[Event], movies: np.ndarray, split: dict[int, int]) -> None:
    ids = sorted({user for user, *_ in rated})
    write_transitions(
        path,
        histories(rated, movies),
        user_ids=np.array(ids),
        split=np.array([split[user] for user in ids], dtype=np.uint8),
        movie_ids=movies,
        embeddings=EMBEDDINGS[np.isin(ALL_MOVIES, movies)],
        scale=RatingScale(),
        frame=2,
        time_cut=3,
        provenance={"events": "x"},
    )


def extend(base: Path, new: list[UserHistories], out: Path, **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "movie_ids": ALL_MOVIES, "embeddings": EMBEDDINGS, "splits": SPLITS, "provenance": {"events": "x"},
    }  # fmt: skip
    return extend_transitions(base, lambda: new, out=out, **(given | more))


@settings(max_examples=60, deadline=None)
@given(old=events, new=later_events, per_block=st.integers(1, 4), block=st.sampled_from([1, 3, 1 << 18]))
def test_equals_a_full_rebuild_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, old: list[Event], new: list[Event], per_block: int, block: int
) -> None:
    folder = tmp_path_factory.mktemp("tail")
    old = ingested([*old, (4, 2, 1, 0), (4, 5, 1, 1), (4, 9, 1, 2)])  # somebody has a transition
    old_users = np.array(sorted({user for user, *_ in old}))
    split = dict(zip(old_users.tolist(), split_users(old_users, SPLITS).tolist(), strict=True))
    write(folder / "base.h5", old, OLD_MOVIES, split)
    union = ingested(old + ingested(new))
    later = np.array(sorted({user for user, *_ in new} - set(split)), dtype=np.int64)
    split |= dict(zip(later.tolist(), split_later_users(later, SPLITS).tolist(), strict=True))
    write(folder / "rebuilt.h5", union, ALL_MOVIES, split)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extension, "BLOCK_EVENTS", block)
        facts = extend(folder / "base.h5", histories(ingested(new), ALL_MOVIES, per_block), folder / "out.h5")
    assert (folder / "out.h5").read_bytes() == (folder / "rebuilt.h5").read_bytes()
    assert facts["events_added"] == len(union) - len(old)
    assert facts["repeated"] == len(ingested(new)) - facts["events_added"]
    assert (facts["users_added"], facts["items_added"]) == (len(later), 3)


@settings(max_examples=10, deadline=None)
@given(old=events, new=later_events, quantile=st.sampled_from([0.3, 0.9, 1.0]), block=st.sampled_from([1, 1 << 18]))
@example(old=[], new=[(4, 5, 9, 1), (4, 5, 3, 6)], quantile=0.9, block=1)  # the first of these repeats an old event
def test_a_moved_time_cut_is_that_of_all_events(
    tmp_path_factory: pytest.TempPathFactory, old: list[Event], new: list[Event], quantile: float, block: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    old = ingested([*old, (4, 2, 1, 0), (4, 5, 1, 1), (4, 9, 1, 2)])
    write(folder / "base.h5", old, OLD_MOVIES, dict.fromkeys(range(12), 0))
    splits = SplitParams(seed=3, time_quantile=quantile)
    later = histories(ingested(new), ALL_MOVIES, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extension, "BLOCK_EVENTS", block)
        facts = extend(folder / "base.h5", later, folder / "out.h5", splits=splits, move_time_cut=True)
    union = ingested(old + ingested(new))
    data = TransitionDataset.open(folder / "out.h5")
    assert data.head.time_cut == time_cut([np.array([time for *_, time in union])], splits)
    assert facts["repeated"] == len(ingested(new)) - facts["events_added"]
    kept = extend(folder / "base.h5", later, folder / "kept.h5", splits=splits)
    assert TransitionDataset.open(folder / "kept.h5").head.time_cut == 3
    assert kept["events"] == facts["events"]


OLD = [(4, 5, 3, 10), (4, 9, 4, 20), (4, 2, 5, 30), (6, 2, 5, 30)]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write(tmp_path / "base.h5", OLD, OLD_MOVIES, {4: 0, 6: 1})
    return tmp_path / "base.h5"


def test_an_earlier_event_of_an_old_user_and_a_repeated_one(base: Path, tmp_path: Path) -> None:
    new = histories([(4, 20, 9, 5), (4, 9, 1, 20), (4, 1, 2, 20), (5, 1, 1, 1)], ALL_MOVIES)
    assert extend(base, new, tmp_path / "out.h5")["repeated"] == 1
    data = TransitionDataset.open(tmp_path / "out.h5")
    assert data.user_ids.tolist() == [4, 5, 6]
    assert data.movie_ids[data.item[:5]].tolist() == [20, 5, 9, 1, 2]
    assert data.rating_code[:5].tolist() == [9, 3, 4, 2, 5]
    assert data.user_split[[0, 2]].tolist() == [0, 1]


def test_nothing_new_changes_nothing_and_the_base_may_be_replaced(base: Path) -> None:
    before = base.read_bytes()
    old_rows = np.isin(ALL_MOVIES, OLD_MOVIES)
    facts = extend(base, [], base, movie_ids=OLD_MOVIES, embeddings=EMBEDDINGS[old_rows])
    assert base.read_bytes() == before
    assert facts["events_added"] == facts["repeated"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"movie_ids": ALL_MOVIES[1:] + 1, "embeddings": EMBEDDINGS[1:]}, "expected its items among the new ones"),
        ({"embeddings": EMBEDDINGS + 1}, "expected the same embeddings"),
        ({"movie_ids": ALL_MOVIES[::-1]}, "expected ascending ids"),
    ],
)
def test_items_that_lost_something_are_refused(
    base: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        extend(base, [], tmp_path / "out.h5", **change)
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("rated", [[(4, 5, 3, 10), (4, 9, 4, 3)], [(8, 5, 3, 10), (8, 9, 4, 3)]])
def test_new_events_in_any_order_come_out_in_time_order(base: Path, tmp_path: Path, rated: list[Event]) -> None:
    for name, events in (("a.h5", rated), ("b.h5", rated[::-1])):
        extend(base, histories(events, ALL_MOVIES), tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_later_users_are_split_as_among_all() -> None:
    users = np.arange(5000)
    assert np.array_equal(split_users(users, SPLITS), split_later_users(users, SPLITS))
