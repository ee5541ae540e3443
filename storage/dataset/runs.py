"""Collect events in runs of bounded size: the last run in memory, those before it in files.

A run keeps the events of a user in file order, nine bytes of each event: its `UserHistories` are not sorted by time yet, and
their timestamps have 32 bits.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.dataset.histories import EventBlock, UserHistories, rows_of
from storage.files import writing_to


def collected(blocks: Iterable[EventBlock], run_events: int, block_events: int, folder: Path) -> "list[Run]":
    """All events in runs.

    Args:
        blocks: in file order.
        run_events: events of one run.
        block_events: events written to a file at a time.
        folder: takes the files.
    """
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


class _MemoryRun:
    """A run in memory. If the file is grouped by ascending user, its events are already in their final places."""

    def __init__(self, events: int) -> None:
        self._item = np.empty(events, np.int32)  # memory is used only for what is filled
        self._code = np.empty(events, np.uint8)
        self._timestamp = np.empty(events, np.uint32)
        self.filled = 0
        self._segments: list[tuple[NDArray[np.int64], NDArray[np.uint32]]] = []  # users and events of each

    def take(self, block: EventBlock) -> EventBlock:
        """Append the events that fit; returns the rest."""
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
        """Find the events of each user; called once, before `read`."""
        users = np.concatenate([users for users, _ in self._segments])
        self._segment_length = np.concatenate([lengths for _, lengths in self._segments])
        self._segments.clear()
        self._segment_start: NDArray[np.uint32] | None = None  # None: one segment after another
        if (users[1:] < users[:-1]).any():
            self._segment_start = np.cumsum(self._segment_length, dtype=np.uint32) - self._segment_length
            order = np.argsort(users, kind="stable")
            users = users[order]
            self._segment_start, self._segment_length = self._segment_start[order], self._segment_length[order]
        first = np.flatnonzero(np.r_[True, users[1:] != users[:-1]])
        self.user_id, self._segment = users[first], np.r_[first, len(users)]  # (u,), (u + 1,)
        self.length = np.add.reduceat(self._segment_length, first, dtype=np.int64)
        self._offset = np.r_[0, np.cumsum(self.length)]

    def read(self, first: int, stop: int) -> UserHistories:
        """The users `first` … `stop - 1`, by place in `user_id`; the columns are views if the file is grouped by user."""
        rows: Any = slice(self._offset[first], self._offset[stop])
        if self._segment_start is not None:
            segments = slice(self._segment[first], self._segment[stop])
            rows = rows_of(self._segment_start[segments], self._segment_length[segments])
        columns = (self._item[rows], self._code[rows], self._timestamp[rows])
        return UserHistories(self.user_id[first:stop], self.length[first:stop], *columns)


class _FileRun:
    """A run in three raw files."""

    TYPES: tuple[tuple[str, type[Any]], ...] = (("item", np.int32), ("code", np.uint8), ("timestamp", np.uint32))

    def __init__(self, run: _MemoryRun, block_events: int, folder: Path) -> None:
        self._folder = folder
        self.user_id, self.length = run.user_id, run.length
        self._offset = np.r_[0, np.cumsum(self.length)]
        with writing_to(folder):
            folder.mkdir()
            for first, stop in ranges_of(self.length, block_events):
                part = run.read(first, stop)
                for name, _ in self.TYPES:
                    with (folder / name).open("ab") as stream:
                        stream.write(np.ascontiguousarray(getattr(part, name)).data)

    def read(self, first: int, stop: int) -> UserHistories:
        """As `_MemoryRun.read`. Files are read, not mapped: that keeps the resident memory small."""
        begin, count = int(self._offset[first]), int(self._offset[stop] - self._offset[first])
        item, code, timestamp = (
            np.fromfile(self._folder / name, kind, count, offset=begin * np.dtype(kind).itemsize)
            for name, kind in self.TYPES
        )
        return UserHistories(self.user_id[first:stop], self.length[first:stop], item, code, timestamp)


Run = _MemoryRun | _FileRun


def user_ranges(runs: list[Run], block_events: int) -> Iterator[tuple[int, int]]:
    """Ranges of user ids (first, last) of about `block_events` events, ascending, that cover all users of all runs."""
    if not runs:
        return
    users, lengths = runs[0].user_id, runs[0].length
    if len(runs) > 1:
        users, place = np.unique(np.concatenate([run.user_id for run in runs]), return_inverse=True)
        lengths = np.zeros(len(users), np.int64)
        np.add.at(lengths, place, np.concatenate([run.length for run in runs]))
    for first, stop in ranges_of(lengths, block_events):
        yield int(users[first]), int(users[stop - 1])


def ranges_of(lengths: NDArray[np.int64], block_events: int) -> Iterator[tuple[int, int]]:
    """Ranges of users (first, stop), ascending, of about `block_events` events.

    Args:
        lengths: (u,) number of events of each user.
        block_events: a range has at most so many events and one more history.
    """
    if len(lengths):
        block = np.cumsum(lengths) // block_events
        yield from pairwise([0, *(np.flatnonzero(block[1:] != block[:-1]) + 1).tolist(), len(lengths)])


def merged(runs: list[Run], first_user: int, last_user: int) -> UserHistories:
    """The events of a range of users from all runs; those of a user in the order of the runs, which is file order."""
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
    return UserHistories(user[first_of_user], length, item[rows], code[rows], timestamp[rows])
