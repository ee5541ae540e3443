"""Sort events in file order into whole histories in order of user and time.

Events are collected in runs (see `runs`). A range of users at a time is then read from all runs and sorted, so events of one
second and repeated events come out the same for any number of runs.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.dataset.histories import EventBlock, UserHistories
from storage.dataset.runs import collected, merged, ranges_of, user_ranges
from storage.files import writing_to
from storage.threads import in_order

RUN_EVENTS = 1 << 25  # the largest MovieLens release fits into one run of 300 MB
BLOCK_EVENTS = 1 << 20
SORTED_EVENTS = 1 << 16  # sorted at a time: their keys fit the cache of a core, and 64 bits


def sorted_histories(
    blocks: Iterable[EventBlock],
    items: int,
    facts: dict[str, Any],
    *,
    run_events: int = RUN_EVENTS,
    block_events: int = BLOCK_EVENTS,
    scratch: Path | None = None,
) -> Iterator[UserHistories]:
    """Sort events into whole histories; of events with the same user, item and timestamp the first in the file is kept.

    Memory is bounded by `run_events` (9 bytes each if the file is grouped by user, up to 33 if it is not) and the longest
    history. All blocks are read before the first histories are yielded.

    Args:
        blocks: in file order.
        items: I, the number of item indices.
        facts: receives events, dropped_repeated, of_these_contradicting (in rating), users, rated_movies, first_timestamp
            and last_timestamp; complete after the last histories.
        run_events: maximum number of events in memory.
        block_events: events in one yielded block, give or take a history.
        scratch: folder for the events that do not fit into one run; None: the system's. Its files are removed at the end.

    Raises:
        StorageFullError, StorageUnwritableError: the scratch folder cannot take the runs.
    """
    rated = np.zeros(items, dtype=np.bool_)
    counts = dict.fromkeys(("events", "dropped_repeated", "of_these_contradicting", "users"), 0)
    first, last = np.iinfo(np.int64).max, 0
    with writing_to(scratch or Path(tempfile.gettempdir())):
        spilled = tempfile.TemporaryDirectory(prefix="marquee-runs-", dir=scratch)
    with spilled as folder:
        runs = collected(blocks, run_events, block_events, Path(folder))

        def finish(users: tuple[int, int]) -> tuple[UserHistories, int, int]:
            grouped = merged(runs, *users)
            rated[grouped.item] = True
            return in_time_order(grouped)

        with closing(in_order(finish, user_ranges(runs, block_events))) as finished:
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


def merged_histories(earlier: UserHistories, later: UserHistories) -> tuple[UserHistories, int]:
    """Merge the histories of two blocks into one; returns it and the number of later events dropped as repeated.

    Of events of one second those of `earlier` come first. Of events with the same user, item and timestamp the first is kept.
    """
    users = np.union1d(earlier.user_id, later.user_id)
    blocks = (earlier, later)
    row = np.concatenate([np.repeat(np.searchsorted(users, block.user_id), block.length) for block in blocks])
    order = np.argsort(row, kind="stable")
    item, code, timestamp = (
        np.concatenate(columns)[order] for columns in zip(*(block[2:] for block in blocks), strict=True)
    )
    length = np.bincount(row, minlength=len(users))
    histories, repeated, _ = in_time_order(UserHistories(users, length, item, code, timestamp.astype(np.uint32)))
    return histories, repeated


def in_time_order(grouped: UserHistories) -> tuple[UserHistories, int, int]:
    """Sort each history by time, stably, and drop repeated events.

    Args:
        grouped: its events are overwritten.

    Returns: the histories, on the memory of `grouped` but for their timestamps; the number of events that repeat the user,
        item and timestamp of an earlier one; how many of these have another rating than the first.
    """
    user_id, length, item, code, timestamp = grouped
    columns: tuple[NDArray[Any], ...] = (item, code, timestamp)
    kept = np.ones(len(item), dtype=np.bool_)
    contradicting = 0
    ends = np.cumsum(length)
    for first, stop in ranges_of(length, SORTED_EVENTS):
        rows = slice(int(ends[first] - length[first]), int(ends[stop - 1]))
        user = np.repeat(np.arange(stop - first), length[first:stop])
        second = timestamp[rows]
        same_user = user[1:] == user[:-1]
        if (same_user & (second[1:] < second[:-1])).any():
            order = stable_order(user, second)
            for column in columns:
                column[rows] = column[rows][order]
        same_second = same_user & (second[1:] == second[:-1])
        if same_second.any():
            repeats, others = _repeats(same_second, item[rows], code[rows])
            kept[rows][repeats] = False
            contradicting += others
    events = int(np.count_nonzero(kept))
    repeated = len(item) - events
    if repeated:
        kept_before = np.concatenate(([0], np.cumsum(kept)))
        length = kept_before[ends] - kept_before[ends - length]
        for column in columns:
            column[:events] = column[kept]
    return (
        UserHistories(user_id, length, item[:events], code[:events], timestamp[:events].astype(np.int64)),
        repeated,
        contradicting,
    )


def stable_order(group: NDArray[np.int64], value: NDArray[Any]) -> NDArray[np.int64]:
    """The places of events sorted by group, then by value; equal ones keep their order, (n,).

    As `np.lexsort((value, group))`, several times quicker where group, value and place fit one integer of 64 bits.

    Args:
        group: (n,) ≥ 0.
        value: (n,) ≥ 0.
    """
    place_bits, value_bits, group_bits = (int(top).bit_length() for top in (len(value), value.max(), group.max()))
    if place_bits + value_bits + group_bits > 64:
        return np.lexsort((value, group))
    key = group.astype(np.uint64)
    key <<= value_bits
    key |= value.astype(np.uint64)
    key <<= place_bits
    key |= np.arange(len(value), dtype=np.uint64)
    key.sort()
    key &= np.uint64((1 << place_bits) - 1)
    return key.view(np.int64)


def _repeats(
    same_second: NDArray[np.bool_], item: NDArray[np.int32], code: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], int]:
    """The places of events that repeat an earlier one of their user and second, and how many have another rating.

    Args:
        same_second: (n - 1,) whether an event has the user and second of the one before; true at least once.
        item: (n,).
        code: (n,).
    """
    tied = np.zeros(len(item), dtype=np.bool_)
    tied[1:] = same_second
    group = np.cumsum(~tied)  # a number for each user and second
    tied[:-1] |= same_second
    places = np.flatnonzero(tied)
    group = group[places] - group[places[0]]
    order = stable_order(group, item[places])
    places, group = places[order], group[order]
    repeats = np.zeros(len(places), dtype=np.bool_)
    repeats[1:] = (group[1:] == group[:-1]) & (item[places[1:]] == item[places[:-1]])
    if not repeats.any():
        return places[:0], 0
    first = places[np.maximum.accumulate(np.where(repeats, 0, np.arange(len(places))))]
    return places[repeats], int(np.count_nonzero(code[places] != code[first]))
