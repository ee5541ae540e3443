"""Events between file and dataset: blocks in file order in, whole histories in user and time order out.

Events gather in runs of bounded size, nine bytes each. A file that outgrows one run is spilled, run by run, to a scratch
folder, each in the order of users; then all runs are read side by side, a range of users at a time. Events of a user keep
file order until then, so ties and repeated events come out the same however many runs there were.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.compiled import helper
from storage.dataset.scale import RatingScale
from storage.files import writing_to
from storage.tables import EVENTS_SCHEMA
from storage.threads import in_order

RUN_EVENTS = 1 << 25  # the largest MovieLens release fits into one run of 300 MB
BLOCK_EVENTS = 1 << 20


class EventBlock(NamedTuple):
    """Some events in file order."""

    user_id: NDArray[np.int64]  # (n,)
    item: NDArray[np.int32]  # (n,) position in the sorted movie ids
    code: NDArray[np.uint8]  # (n,) 1 … scale.codes
    timestamp: NDArray[np.int64]  # (n,) unix seconds, 1970 to 2100


class Histories(NamedTuple):
    """Whole histories of users in ascending order of id, each in time order; ties keep file order."""

    user_id: NDArray[np.int64]  # (u,)
    length: NDArray[np.int64]  # (u,) events of each
    item: NDArray[np.int32]  # (n,)
    code: NDArray[np.uint8]  # (n,)
    timestamp: NDArray[np.int64]  # (n,)


class Grouped(NamedTuple):
    """Events grouped by ascending user id, in file order within each; timestamps in half the width."""

    user_id: NDArray[np.int64]  # (u,)
    length: NDArray[np.int64]  # (u,)
    item: NDArray[np.int32]  # (n,)
    code: NDArray[np.uint8]  # (n,)
    timestamp: NDArray[np.uint32]  # (n,)


class Run(Protocol):
    """Grouped events that are read a range of users at a time."""

    user_id: NDArray[np.int64]
    length: NDArray[np.int64]

    def read(self, first: int, stop: int) -> Grouped:
        """The users `first` … `stop - 1`, by place in `user_id`."""
        ...


def sorted_histories(
    blocks: Iterable[EventBlock],
    items: int,
    facts: dict[str, Any],
    *,
    run_events: int = RUN_EVENTS,
    block_events: int = BLOCK_EVENTS,
    scratch: Path | None = None,
) -> Iterator[Histories]:
    """Sort events into whole histories; repeated (user, item, timestamp) are dropped, the first in the file stays.

    Memory is bounded by `run_events` (9 bytes each where the file is grouped by user, up to 33 where it is not) and the
    longest history; all blocks are read before the first history comes out.

    Args:
        blocks: in file order.
        items: I, the number of item indices.
        facts: receives events, dropped_repeated, of_these_contradicting (in rating), users, rated_movies,
            first_timestamp and last_timestamp as histories pass; true of the whole once the last has passed.
        run_events: events held in memory at most.
        block_events: events in one yielded block, give or take a history.
        scratch: folder for what does not fit into one run (the system's own unless given); nothing stays there.

    Raises:
        StorageFullError, StorageUnwritableError: the scratch folder cannot take the runs.
    """
    rated = np.zeros(items, dtype=np.uint8)
    counts = dict.fromkeys(("events", "dropped_repeated", "of_these_contradicting", "users"), 0)
    first, last = np.iinfo(np.int64).max, 0
    with writing_to(scratch or Path(tempfile.gettempdir())):
        spilled = tempfile.TemporaryDirectory(prefix="marquee-runs-", dir=scratch)
    with spilled as folder:
        runs = _runs(blocks, run_events, block_events, Path(folder))

        def finish(users: tuple[int, int]) -> tuple[Histories, int, int]:
            return _finished(_merged(runs, *users), rated)

        with closing(in_order(finish, _user_ranges(runs, block_events))) as finished:
            for histories, repeated, contradicting in finished:
                starts = np.cumsum(histories.length) - histories.length
                first = min(first, int(histories.timestamp[starts].min()))
                last = max(last, int(histories.timestamp[starts + histories.length - 1].max()))
                counts["events"] += len(histories.item)
                counts["dropped_repeated"] += repeated
                counts["of_these_contradicting"] += contradicting
                counts["users"] += len(histories.user_id)
                facts |= counts | {"first_timestamp": first, "last_timestamp": last}
                yield histories
    facts["rated_movies"] = int(np.count_nonzero(rated))


def merged_histories(earlier: Histories, later: Histories) -> tuple[Histories, int]:
    """The histories of two blocks as one, and how many of the later events were dropped as repeated.

    Of events of one second those of `earlier` come first; repeated (user, item, timestamp) keep the first.
    """
    users = np.union1d(earlier.user_id, later.user_id)
    blocks = (earlier, later)
    row = np.concatenate([np.repeat(np.searchsorted(users, block.user_id), block.length) for block in blocks])
    order = np.argsort(row, kind="stable")
    item, code, timestamp = (
        np.concatenate(columns)[order] for columns in zip(*(block[2:] for block in blocks), strict=True)
    )
    length = np.bincount(row, minlength=len(users))
    rated = np.zeros(int(item.max(initial=0)) + 1, dtype=np.uint8)
    histories, repeated, _ = _finished(Grouped(users, length, item, code, timestamp.astype(np.uint32)), rated)
    return histories, repeated


def events_table(histories: Histories, known_movies: NDArray[np.int64], scale: RatingScale) -> pa.Table:
    """The histories in EVENTS_SCHEMA, a row per event.

    Args:
        histories: n events.
        known_movies: (I,) movie ids by item index.
        scale: what the codes stand for.
    """
    rating = (scale.rating_min + scale.step * np.arange(scale.codes + 1)).astype(np.float32)
    columns = [
        np.repeat(histories.user_id, histories.length),
        np.take(known_movies, histories.item),
        np.take(rating, histories.code),
        histories.timestamp,
    ]
    return pa.table(columns, schema=EVENTS_SCHEMA)


class _MemoryRun:
    """A run in memory. Where the file is grouped by ascending user, its events are already where they belong."""

    def __init__(self, events: int) -> None:
        self._item = np.empty(events, np.int32)  # the system gives memory only to what is filled
        self._code = np.empty(events, np.uint8)
        self._timestamp = np.empty(events, np.uint32)
        self.filled = 0
        self._segments: list[tuple[NDArray[np.int64], NDArray[np.uint32]]] = []  # users and events of each

    def take(self, block: EventBlock) -> EventBlock:
        """Append what fits; returns the rest."""
        begin, stop = self.filled, min(self.filled + len(block.item), len(self._item))
        taken = stop - begin
        if taken:
            user = block.user_id[:taken]
            starts = np.flatnonzero(np.r_[True, user[1:] != user[:-1]])
            self._segments.append((user[starts], np.diff(starts, append=taken).astype(np.uint32)))
            self._item[begin:stop] = block.item[:taken]
            self._code[begin:stop] = block.code[:taken]
            self._timestamp[begin:stop] = block.timestamp[:taken]
        self.filled = stop
        user_id, item, code, timestamp = block
        return EventBlock(user_id[taken:], item[taken:], code[taken:], timestamp[taken:])

    def close(self) -> None:
        """Find each user's events; called once, before `read`."""
        users = np.concatenate([users for users, _ in self._segments])
        self._segment_length = np.concatenate([lengths for _, lengths in self._segments])
        self._segments.clear()
        self._segment_start: NDArray[np.uint32] | None = None  # none needed: segment after segment
        if (users[1:] < users[:-1]).any():
            self._segment_start = np.cumsum(self._segment_length, dtype=np.uint32) - self._segment_length
            order = np.argsort(users, kind="stable")
            users = users[order]
            self._segment_start, self._segment_length = self._segment_start[order], self._segment_length[order]
        first = np.flatnonzero(np.r_[True, users[1:] != users[:-1]])
        self.user_id, self._segment = users[first], np.r_[first, len(users)]  # (u,), (u + 1,)
        self.length = np.add.reduceat(self._segment_length, first, dtype=np.int64)
        self._offset = np.r_[0, np.cumsum(self.length)]

    def read(self, first: int, stop: int) -> Grouped:
        """The users `first` … `stop - 1`; views where possible."""
        rows: Any = slice(self._offset[first], self._offset[stop])
        if self._segment_start is not None:
            segments = slice(self._segment[first], self._segment[stop])
            rows = rows_of(self._segment_start[segments], self._segment_length[segments])
        columns = (self._item[rows], self._code[rows], self._timestamp[rows])
        return Grouped(self.user_id[first:stop], self.length[first:stop], *columns)


class _FileRun:
    """A run spilled to three raw files."""

    TYPES: tuple[tuple[str, type[Any]], ...] = (("item", np.int32), ("code", np.uint8), ("timestamp", np.uint32))

    def __init__(self, run: _MemoryRun, block_events: int, folder: Path) -> None:
        self._folder = folder
        self.user_id, self.length = run.user_id, run.length
        self._offset = np.r_[0, np.cumsum(self.length)]
        with writing_to(folder):
            folder.mkdir()
            for first, stop in pairwise(_cuts(self.length, block_events)):
                part = run.read(first, stop)
                for name, _ in self.TYPES:
                    with (folder / name).open("ab") as stream:
                        stream.write(np.ascontiguousarray(getattr(part, name)).data)

    def read(self, first: int, stop: int) -> Grouped:
        """The users `first` … `stop - 1`, read rather than mapped: resident memory stays small."""
        begin, count = int(self._offset[first]), int(self._offset[stop] - self._offset[first])
        item, code, timestamp = (
            np.fromfile(self._folder / name, kind, count, offset=begin * np.dtype(kind).itemsize)
            for name, kind in self.TYPES
        )
        return Grouped(self.user_id[first:stop], self.length[first:stop], item, code, timestamp)


def _runs(blocks: Iterable[EventBlock], run_events: int, block_events: int, folder: Path) -> list[Run]:
    """All events, the last run in memory, those before it in files."""
    runs: list[Run] = []
    run = _MemoryRun(run_events)
    for block in blocks:
        rest = run.take(block)
        while len(rest.item):  # the run is full
            run.close()
            runs.append(_FileRun(run, block_events, folder / str(len(runs))))
            run = _MemoryRun(run_events)
            rest = run.take(rest)
    if run.filled:
        run.close()
        runs.append(run)
    return runs


def _user_ranges(runs: list[Run], block_events: int) -> Iterator[tuple[int, int]]:
    """Ranges of user ids (first, last) of about `block_events` events, ascending, that cover all users."""
    if len(runs) == 1:
        users, lengths = runs[0].user_id, runs[0].length
    elif runs:
        users, place = np.unique(np.concatenate([run.user_id for run in runs]), return_inverse=True)
        lengths = np.zeros(len(users), np.int64)
        np.add.at(lengths, place, np.concatenate([run.length for run in runs]))
    else:
        return
    for first, stop in pairwise(_cuts(lengths, block_events)):
        yield int(users[first]), int(users[stop - 1])


def _cuts(lengths: NDArray[np.int64], block_events: int) -> list[int]:
    """Places that cut users into blocks of about `block_events` events, 0 and the number of users included."""
    block = np.cumsum(lengths) // block_events
    return [0, *(np.flatnonzero(block[1:] != block[:-1]) + 1).tolist(), len(lengths)]


def _merged(runs: list[Run], first_user: int, last_user: int) -> Grouped:
    """The events of a range of users from all runs; a user's in the order of the runs, which is the file's."""
    parts = []
    for run in runs:
        first = int(np.searchsorted(run.user_id, first_user))
        stop = int(np.searchsorted(run.user_id, last_user, side="right"))
        if stop > first:
            parts.append(run.read(first, stop))
    if len(parts) == 1:
        return parts[0]
    user, length, item, code, timestamp = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(user, kind="stable")
    rows = rows_of((np.cumsum(length) - length)[order], length[order])
    user, length = user[order], length[order]
    first_of_user = np.flatnonzero(np.r_[True, user[1:] != user[:-1]])
    length = np.add.reduceat(length, first_of_user)
    return Grouped(user[first_of_user], length, item[rows], code[rows], timestamp[rows])


def rows_of(first: NDArray[Any], number: NDArray[Any]) -> NDArray[np.int64]:
    """first, first + 1 … of every run, one run after another, (sum of number,)."""
    ends = np.cumsum(number, dtype=np.int64)
    rows = np.repeat(first - (ends - number), number)
    rows += np.arange(len(rows))
    return rows


def _finished(grouped: Grouped, rated: NDArray[np.uint8]) -> tuple[Histories, int, int]:
    """Histories in time order without repeated events; how many were repeated and how many of these contradict.

    Marks the items found in `rated`, (I,). Works in place on the events, which nobody else uses.
    """
    user, before, item, code, timestamp = grouped
    length = before.copy()
    compiled = helper("_ratings")
    work = compiled.sort if compiled else sort_purely
    repeated, contradicting = work(length, item, code, timestamp, rated)
    if repeated:
        rows = rows_of(np.cumsum(before) - before, length)
        item, code, timestamp = item[rows], code[rows], timestamp[rows]
    return Histories(user, length, item, code, timestamp.astype(np.int64)), repeated, contradicting


def sort_purely(
    length: NDArray[np.int64],
    item: NDArray[np.int32],
    code: NDArray[np.uint8],
    timestamp: NDArray[np.uint32],
    rated: NDArray[np.uint8],
) -> tuple[int, int]:
    """What `_ratings.sort` does: in place, each history in time order, kept events first, `length` shortened to them.

    Args:
        length: (u,) events of each user.
        item: (n,), as `code` and `timestamp` grouped by user; the places behind the kept ones hold nothing of use.
        code: (n,).
        timestamp: (n,).
        rated: (I,) receives 1 for every item that occurs.

    Returns: the number of repeated (user, item, timestamp) and how many of them have another rating than the first.
    """
    rated[item] = 1
    user = np.repeat(np.arange(len(length)), length)
    start = np.cumsum(length) - length
    order = np.lexsort((timestamp, user))
    item[:], code[:], timestamp[:] = item[order], code[order], timestamp[order]
    # Stable by item within a second: a repeated event stands behind its first, which leads it.
    alike = np.lexsort((item, timestamp, user))
    now, then = alike[1:], alike[:-1]
    same = (user[now] == user[then]) & (timestamp[now] == timestamp[then]) & (item[now] == item[then])
    leads = np.r_[True, ~same] if len(alike) else np.zeros(0, bool)
    leader = alike[np.maximum.accumulate(np.where(leads, np.arange(len(alike)), 0))] if len(alike) else alike
    contradicting = int((code[alike] != code[leader]).sum())
    kept = np.zeros(len(alike), bool)
    kept[alike[leads]] = True
    repeated = int(len(kept) - kept.sum())
    if repeated:
        length[:] = np.bincount(user[kept], minlength=len(length))
        rows = rows_of(start, length)
        for column in (item, code, timestamp):
            column[rows] = column[kept]
    return repeated, contradicting
