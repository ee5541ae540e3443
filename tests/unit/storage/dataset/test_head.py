"""Files of the right form with values that are out of range, or do not fit one another."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.storage.dataset.hostile_support import Attack, attribute, spoilt, values
from unit.storage.dataset.test_format import COMPACT_READERS
from unit.storage.dataset.transitions_support import written

from storage.dataset import head
from storage.dataset.compact_source import CompactSource
from storage.dataset.format import COMPACT
from storage.dataset.reader import TransitionDataset
from storage.errors import DatasetError
from storage.tables import LATEST_SECOND

LENGTHS = [8, 9, 30, 5]


def at(name: str, place: Any, value: Any) -> Attack:
    """Change one value of a member."""

    def change(found: Any) -> Any:
        found[place] = value
        return found

    return values(name, change)


ATTACKS: dict[str, tuple[Attack, str]] = {
    "embedding of NaN": (at("items/embedding", (3, 1), np.nan), "finite embeddings"),
    "embedding of infinity": (at("items/embedding", (19, 3), -np.inf), "finite embeddings"),
    "embeddings of both infinities": (at("items/embedding", (3, slice(2)), [np.inf, -np.inf]), "finite embeddings"),
    "split code": (at("users/split", 1, 3), "split codes below 3"),
    "equal users": (at("users/id", 1, 100), "ascending user ids"),
    "the lowest user last": (at("users/id", 3, np.iinfo(np.int64).min), "ascending user ids"),
    "items in another order": (values("items/id", lambda found: found[::-1]), "ascending item ids"),
    "first offset": (at("users/offset", 0, 1), "offsets 0 … 52"),
    "last offset": (at("users/offset", 4, 53), "offsets 0 … 52"),
    "falling offset": (at("users/offset", 2, 7), "ascending offsets"),
    "negative offset": (at("users/offset", 1, -(1 << 62)), "ascending offsets"),
    "no transitions": (attribute("frame", 30), "a user with more than 30 events"),
    "item beyond": (at("events/item", 9, 20), "events/item of 0 … 19"),
    "code 0": (at("events/rating", 9, 0), "events/rating of 1 … 10"),
    "code beyond": (at("events/rating", 9, 11), "events/rating of 1 … 10"),
    "time before 1970": (at("events/timestamp", 0, -1), "events/timestamp of 0"),
    "time in milliseconds": (at("events/timestamp", 51, LATEST_SECOND * 1000), "events/timestamp of 0"),
    "time order": (at("events/timestamp", 30, 0), "time order"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("whole"), LENGTHS).path


def loaded(path: Path) -> object:
    source = CompactSource(path, "all")
    return source.load(range(len(source.rows)))


@pytest.mark.parametrize("name", ATTACKS)
def test_values_out_of_range_are_refused_by_every_reader(tmp_path: Path, whole: Path, name: str) -> None:
    attack, message = ATTACKS[name]
    path = spoilt(Path(shutil.copy(whole, tmp_path)), attack)
    readers: dict[str, Callable[[Path], object]] = {**COMPACT_READERS, "source": loaded}
    for read in readers.values():
        with pytest.raises(DatasetError, match=message):
            read(path)
    assert not {found.name for found in tmp_path.iterdir()} & {"exported.h5", "extended.h5"}


def test_time_order_is_checked_wherever_a_read_ends(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "EVENTS_AT_ONCE", 5)
    offsets = [0, *np.cumsum(LENGTHS).tolist()]
    for place in range(1, 20):
        times = (np.arange(sum(LENGTHS)) < place).astype(
            int
        )  # only the event at `place` is earlier than the one before
        path = spoilt(Path(shutil.copy(whole, tmp_path)), values("events/timestamp", lambda _, times=times: times))
        if place in offsets:  # where another user begins
            TransitionDataset.open(path)
            continue
        with pytest.raises(DatasetError, match="time order"):
            TransitionDataset.open(path)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(COMPACT)), data=st.data())
def test_a_changed_value_gives_an_error_or_values_in_range(
    whole: Path, tmp_path: Path, name: str, data: st.DataObject
) -> None:
    """Whole files only: what is read is safe to use as an index, a time or a number, whatever a stranger writes."""

    def change(found: Any) -> Any:
        flat = found.reshape(-1)
        raw = flat.view(np.uint8)
        raw[data.draw(st.integers(0, len(raw) - 1), label="byte")] = data.draw(st.integers(0, 255), label="value")
        return found

    path = spoilt(Path(shutil.copy(whole, tmp_path)), values(name, change))
    try:
        found = TransitionDataset.open(path)
    except DatasetError:
        return
    batch = found.gather(found.starts("all"))
    assert all(bool(part.isfinite().all()) for part in batch)
    assert 0 <= found.timestamps().min() <= found.timestamps().max() <= LATEST_SECOND
    assert len(found.last_starts("test", 5)) + len(found.starts("train")) <= len(found)
