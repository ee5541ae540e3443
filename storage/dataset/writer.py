"""Write the compact layout of a transition dataset, `marquee-transitions/2`: each event once, not F + 1 times."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from storage.dataset.format import (
    COMPACT,
    EVENT_MEMBERS,
    FORMAT,
    MAX_FRAME,
    MODE_OF_SPLITS,
    SPLIT_NAMES,
    scale_attributes,
)
from storage.dataset.histories import UserHistories
from storage.dataset.new_file import new_file
from storage.dataset.scale import RatingScale, RewardMap
from storage.dataset.splits import HELD_OUT, SplitMode
from storage.dataset.structure import set_attributes
from storage.errors import DatasetError
from storage.tables import LATEST_SECOND, MAX_DIM

EVENT_CHUNK = 1 << 18
ITEM_CHUNK_BYTES = 1 << 20


def write_transitions(
    path: Path,
    histories: Iterable[UserHistories],
    *,
    user_ids: NDArray[np.int64],
    split: NDArray[np.uint8],
    movie_ids: NDArray[np.int64],
    embeddings: NDArray[np.float32],
    scale: RatingScale,
    reward: RewardMap | None = None,
    frame: int,
    time_cut: int,
    mode: SplitMode = "users",
    provenance: Mapping[str, str],
) -> dict[str, Any]:
    """Write the histories of U users over I items; equal content gives equal bytes, however it is cut into blocks.

    Beside one block no more than one chunk of events is held.

    Args:
        path: the file to make. The caller commits it by renaming it or its folder; it is removed if writing fails.
        histories: whole users in the order of `user_ids`; `item` is the place in `movie_ids`.
        user_ids: (U,) outside ids, ascending; a user the histories lack has no events.
        split: (U,) codes of SPLIT_NAMES.
        movie_ids: (I,) outside ids, ascending.
        embeddings: (I, D), finite.
        scale: of the ratings that the codes stand for.
        reward: of a rating; None: from -4 at the scale's lowest to 5 at its highest.
        frame: F, events in one observation, at most MAX_FRAME.
        time_cut: unix seconds, 1970 to 2100; later events are held out.
        mode: whether users are held out, or the last two events of every user; all codes are then 0.
        provenance: digests of the inputs, kept as attributes.

    Returns: counts of users, items, events, transitions (in all and per split) and users too short to give any.

    Raises:
        DatasetError: the histories do not make a dataset, or the file read back is not whole.
    """
    _need(len(split) == len(user_ids), f"{len(user_ids)} splits", len(split))
    _need(mode == "users" or not split.any(), "training users only, with leave-one-out", np.unique(split).tolist())
    _need(bool((np.diff(user_ids) > 0).all()), "ascending user ids", "others")
    _need(bool((np.diff(movie_ids) > 0).all()), "ascending item ids", "others")
    _need(1 <= frame <= MAX_FRAME, f"frames of 1 … {MAX_FRAME} events", frame)
    _need(0 <= time_cut <= LATEST_SECOND, f"a time cut of 0 … {LATEST_SECOND}", time_cut)
    _need(embeddings.ndim == 2 and len(embeddings) == len(movie_ids), f"{len(movie_ids)} embeddings", embeddings.shape)
    _need(1 <= embeddings.shape[1] <= MAX_DIM, f"embeddings of 1 … {MAX_DIM} numbers", embeddings.shape)
    _need(bool(np.isfinite(embeddings).all()), "finite embeddings", f"{int((~np.isfinite(embeddings)).sum())} others")
    item_type = np.uint16 if len(movie_ids) <= 65_535 else np.int32
    try:
        with new_file(path) as file:
            events = _Events(file, item_type, len(movie_ids), scale.codes)
            length, after = np.zeros(len(user_ids), dtype=np.int64), -1
            for block in histories:
                place = _places(block, user_ids, after)
                length[place] = block.length
                after = int(place[-1]) if len(place) else after
                events.add(block)
            events.finish()
            _need(
                bool((length > frame).any()),
                f"a user with more than {frame} events",
                f"at most {length.max(initial=0)}",
            )
            set_attributes(file["events/rating"], scale_attributes(scale, reward or RewardMap.default(scale)))
            _put(file, "users/id", user_ids.astype(np.int64))
            _put(file, "users/offset", np.concatenate(([0], np.cumsum(length))))
            _put(file, "users/split", split.astype(np.uint8))
            _put(file, "items/id", movie_ids.astype(np.int64))
            _put(file, "items/embedding", embeddings.astype(np.float32))
            # A file without its format was not finished.
            set_attributes(file, {f"provenance_{name}": digest for name, digest in sorted(provenance.items())})
            splits = next(names for names, known in MODE_OF_SPLITS.items() if known == mode)
            set_attributes(file, {"splits": splits, "frame": frame, "time_cut": time_cut})
            set_attributes(file, {"layout": "compact", "format": FORMAT})
        read_back(path, COMPACT)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    per_user = np.maximum(length - frame, 0)
    return {
        "users": len(user_ids),
        "items": len(movie_ids),
        "events": int(length.sum()),
        "transitions": int(per_user.sum()),
        "transitions_by_split": _transitions_by_split(per_user, split, mode),
        "users_without_transitions": int((per_user == 0).sum()),
        "size_bytes": path.stat().st_size,
    }


def _transitions_by_split(per_user: NDArray[np.int64], split: NDArray[np.uint8], mode: SplitMode) -> dict[str, int]:
    """The number of transitions of each split of users; with leave-one-out of each split of events."""
    if mode == "users":
        return {name: int(per_user[split == code].sum()) for code, name in enumerate(SPLIT_NAMES)}
    cases = int((per_user >= HELD_OUT).sum())
    return {"train": int(np.maximum(per_user - HELD_OUT, 0).sum()), "validation": cases, "test": cases}


class _Events:
    """The three event members, checked and written one whole chunk after another."""

    def __init__(self, file: h5py.File, item_type: type[np.integer[Any]], items: int, codes: int) -> None:
        self.file, self.items, self.codes = file, items, codes
        self.written = self.held = 0
        self.buffers = tuple(np.empty(EVENT_CHUNK, dtype=kind) for kind in (item_type, np.uint8, np.int64))
        self.members: list[h5py.Dataset] = []

    def add(self, block: UserHistories) -> None:
        """Take the events of whole users."""
        first = np.cumsum(block.length) - block.length
        for begin in range(0, len(block.item), EVENT_CHUNK):
            part = slice(begin, begin + EVENT_CHUNK)
            self._check(block, part, first)
            taken = 0
            columns: tuple[NDArray[Any], ...] = (block.item[part], block.code[part], block.timestamp[part])
            while taken < len(columns[0]):
                count = min(EVENT_CHUNK - self.held, len(columns[0]) - taken)
                for buffer, column in zip(self.buffers, columns, strict=True):
                    buffer[self.held : self.held + count] = column[taken : taken + count]
                self.held += count
                taken += count
                if self.held == EVENT_CHUNK:
                    self._write()

    def finish(self) -> None:
        """Write what does not fill a chunk."""
        if self.held or not self.members:
            self._write()

    def _write(self) -> None:
        if not self.members:
            chunk = (max(1, self.held),)
            self.members = [
                self.file.create_dataset(
                    name, shape=(0,), maxshape=(None,), chunks=chunk, dtype=buffer.dtype, fletcher32=True,
                    track_times=False,
                )
                for name, buffer in zip(EVENT_MEMBERS, self.buffers, strict=True)
            ]  # fmt: skip
        end = self.written + self.held
        for member, buffer in zip(self.members, self.buffers, strict=True):
            member.resize((end,))
            if self.held:
                member.write_direct(buffer, np.s_[: self.held], np.s_[self.written : end])
        self.written, self.held = end, 0

    def _check(self, block: UserHistories, part: slice, first: NDArray[np.int64]) -> None:
        item, code = block.item[part], block.code[part]
        low, high = int(item.min()), int(item.max())
        _need(low >= 0 and high < self.items, f"item indices below {self.items}", (low, high))
        least, most = int(code.min()), int(code.max())
        _need(least >= 1 and most <= self.codes, f"rating codes 1 … {self.codes}", (least, most))
        begin = max(part.start - 1, 0)
        times = block.timestamp[begin : part.stop]
        first_time, last_time = int(times.min()), int(times.max())
        _need(first_time >= 0 and last_time <= LATEST_SECOND, f"times of 0 … {LATEST_SECOND}", (first_time, last_time))
        falls = times[1:] < times[:-1]
        if falls.any():
            falls[first[(first > begin) & (first < begin + len(times))] - begin - 1] = False
            _need(not falls.any(), "histories in time order", f"{int(falls.sum())} events earlier than the one before")


def _places(block: UserHistories, user_ids: NDArray[np.int64], after: int) -> NDArray[np.int64]:
    """The rows, (u,), of a block's users, all of them later than row `after`."""
    events = len(block.item)
    _need(
        len(block.code) == len(block.timestamp) == events and int(block.length.sum()) == events,
        "lengths that cover all events",
        (int(block.length.sum()), events, len(block.code), len(block.timestamp)),
    )
    _need(len(block.length) == len(block.user_id), f"{len(block.user_id)} lengths", len(block.length))
    _need(bool((block.length >= 0).all()), "lengths of 0 or more", int(block.length.min(initial=0)))
    place = np.searchsorted(user_ids, block.user_id)
    known = place < len(user_ids)
    known[known] = user_ids[place[known]] == block.user_id[known]
    _need(bool(known.all()), "users that have a split", block.user_id[~known][:3].tolist())
    _need(
        bool((np.diff(place, prepend=after) > 0).all()),
        "every user once, in ascending order",
        block.user_id[:3].tolist(),
    )
    return np.asarray(place)


def _put(file: h5py.File, name: str, values: NDArray[Any]) -> None:
    """One chunked, checksummed member."""
    rows = EVENT_CHUNK if values.ndim == 1 else max(1, ITEM_CHUNK_BYTES // values[:1].nbytes)
    chunks = (max(1, min(rows, len(values))), *values.shape[1:])
    file.create_dataset(name, data=values, chunks=chunks, fletcher32=True, track_times=False)


def read_back(path: Path, members: Iterable[str]) -> None:
    """Read a finished file from front to back, so that HDF5 compares the checksum of every chunk.

    Args:
        path: the file.
        members: names of its datasets.

    Raises:
        DatasetError: a chunk is not what was written.
    """
    try:
        with h5py.File(path, "r") as file:
            for name in members:
                member = file[name]
                if not len(member):
                    continue
                buffer = np.empty(member.chunks, dtype=member.dtype)
                for begin in range(0, len(member), len(buffer)):
                    count = min(len(buffer), len(member) - begin)
                    member.read_direct(buffer, np.s_[begin : begin + count], np.s_[:count])
    except (OSError, KeyError) as error:
        raise DatasetError(
            f"{path}: expected to read back what was written; found {error}. Write it again; if it happens again, check the disk."
        ) from error


def _need(good: bool, expected: str, found: object) -> None:
    if not good:
        raise DatasetError(
            f"transitions: expected {expected}; found {found}. Check the tables that this step reads: see their gates."
        )
