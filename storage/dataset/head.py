"""What a reader of the compact layout needs before it reads events, and the checks of all values.

`storage.dataset.format.opened` has checked what does not depend on the size of a file. Here the values of users and items are checked
when the head is read, timestamps when they are compared with the time cut, and the other events whenever they are read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from storage.dataset.arrays import all_finite, ascending
from storage.dataset.format import (
    ATTRIBUTES_OF,
    MODE_OF_SPLITS,
    PROVENANCE,
    SCALE_ATTRIBUTES,
    SPLIT_NAMES,
    Split,
    scale_and_reward,
)
from storage.dataset.scale import RatingScale, RewardMap
from storage.dataset.splits import HELD_OUT, SplitMode
from storage.dataset.structure import attributes_of, need
from storage.errors import DatasetError
from storage.tables import LATEST_SECOND

EVENTS_AT_ONCE = 1 << 20  # of one read: bounds what a reader holds beside its result


@dataclass(frozen=True)
class Head:
    """A compact file without its events; U users, I items.

    Attributes:
        path: the file.
        frame: F, events in one observation.
        time_cut: unix seconds; training sees no later action.
        mode: whether users are held out, or the last two events of every user.
        scale: of the ratings.
        reward: the reward of a rating.
        user_ids: (U,) int64, ids in the source.
        user_split: (U,) uint8, codes of SPLIT_NAMES.
        offset: (U + 1,) int64, first event of each user.
        movie_ids: (I,) int64, ids in the source.
        embedding: (I, D) float32.
        provenance: the attributes that say what it was made from.
    """

    path: Path
    frame: int
    time_cut: int
    mode: SplitMode
    scale: RatingScale
    reward: RewardMap
    user_ids: NDArray[np.int64]
    user_split: NDArray[np.uint8]
    offset: NDArray[np.int64]
    movie_ids: NDArray[np.int64]
    embedding: NDArray[np.float32]
    provenance: Mapping[str, str]

    @classmethod
    def read(cls, file: h5py.File) -> Self:
        """Read it from a file that `opened` gives, and check its values.

        Raises:
            DatasetError: ids are not ascending, offsets do not cover the events, no user has a transition, a split code is unknown
                or held out in a leave-one-out file, or an embedding is not finite.
        """
        found = {name: file[name][...] for name in ("users/id", "users/offset", "users/split", "items/id")}
        embedding = file["items/embedding"][...]
        known = attributes_of(file, ATTRIBUTES_OF["compact"], PROVENANCE)
        offset, events, frame = found["users/offset"], len(file["events/item"]), known["frame"]
        need(file, (offset[0], offset[-1]) == (0, events), f"offsets 0 … {events}", f"{offset[0]} … {offset[-1]}")
        need(file, ascending(offset, strictly=False), "ascending offsets", "others")
        need(file, int(np.diff(offset).max(initial=0)) > frame, f"a user with more than {frame} events", "none")
        need(file, ascending(found["users/id"]), "ascending user ids", "others")
        need(file, ascending(found["items/id"]), "ascending item ids", "others")
        codes, mode = np.unique(found["users/split"]), MODE_OF_SPLITS[known["splits"]]
        most = 1 if mode == "leave-one-out" else len(SPLIT_NAMES)
        need(file, bool((codes < most).all()), f"split codes below {most}", codes.tolist())
        need(file, all_finite(embedding), "finite embeddings", "NaN or infinity")
        scale, reward = scale_and_reward(file, attributes_of(file["events/rating"], SCALE_ATTRIBUTES))
        return cls(
            path=Path(file.filename),
            frame=frame,
            time_cut=known["time_cut"],
            mode=mode,
            scale=scale,
            reward=reward,
            user_ids=found["users/id"],
            user_split=found["users/split"],
            offset=offset,
            movie_ids=found["items/id"],
            embedding=embedding,
            provenance={name: text for name, text in known.items() if name.startswith(PROVENANCE)},
        )

    @property
    def leave_one_out(self) -> bool:
        """Whether the last two events of every user are held out, and no user is."""
        return self.mode == "leave-one-out"

    def need_valid(self, name: str, values: NDArray[Any]) -> None:
        """Refuse values of an event member that are out of range; later look-ups do not check them again.

        Raises:
            DatasetError: there are some.
        """
        least, most = {
            "events/item": (0, len(self.movie_ids) - 1),
            "events/rating": (1, self.scale.codes),
            "events/timestamp": (0, LATEST_SECOND),
        }[name]
        if len(values) and (values.min() < least or values.max() > most):
            raise DatasetError(
                f"{self.path}: expected {name} of {least} … {most}; found {values.min()} … {values.max()}. Pull it again "
                "or run build-dataset again."
            )

    def reward_of_code(self) -> NDArray[np.float32]:
        """(256,) float32: the reward that each rating code stands for."""
        return (self.reward.scale * self.scale.ratings() + self.reward.offset).astype(np.float32)

    def runs(self, split: Split, timely: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """A split's transitions as one run of neighbouring starts per user: first start and number, (U,) each.

        `train`: training users, action at or before the time cut; `time`: training users, action after it;
        `validation` and `test`: all transitions of those users. With leave-one-out, `train` has the actions before the
        last two of each user, `validation` the last but one, `test` the last, of users with F + 2 events or more; `time` has
        none.

        Args:
            split: which.
            timely: (U,) see `timely_events`.
        """
        first = self.offset[:-1]
        whole = np.maximum(np.diff(self.offset) - self.frame, 0)
        early = np.maximum(timely - self.frame, 0)
        if split == "all":
            return first, whole
        if self.leave_one_out and split != "train":
            back = {"validation": 2, "test": 1}.get(split, 0)
            return first + whole - back, np.where(whole >= HELD_OUT, min(back, 1), 0)
        if split == "train":
            return first, np.where(self.user_split == 0, early, 0)
        if split == "time":
            return first + early, np.where(self.user_split == 0, whole - early, 0)
        return first, np.where(self.user_split == SPLIT_NAMES.index(split), whole, 0)


def timely_events(file: h5py.File, head: Head) -> NDArray[np.int64]:
    """How many events of each user, (U,), lie at or before the time cut; histories are in time order, so these come first.

    With leave-one-out the last two events of each user are not counted.

    Raises:
        DatasetError: a timestamp is out of range, or a history is not in time order.
    """
    before = np.zeros(len(head.offset), dtype=np.int64)  # timely events before each user's first
    total, last = 0, 0
    for begin, times in slices(file["events/timestamp"]):
        head.need_valid("events/timestamp", times)
        falls = np.flatnonzero(times[1:] < times[:-1]) + begin + 1
        falls = np.append(falls, begin) if times[0] < last else falls
        starts = head.offset[np.searchsorted(head.offset, falls)]
        need(file, bool((starts == falls).all()), "histories in time order", "an event before an earlier one")
        last = times[-1]
        running = np.cumsum(times <= head.time_cut, dtype=np.int32)
        low, high = np.searchsorted(head.offset, (begin, begin + len(times)), side="right")
        before[low:high] = total + running[head.offset[low:high] - begin - 1]
        total += int(running[-1])
    timely = np.diff(before)
    return np.minimum(timely, np.maximum(np.diff(head.offset) - HELD_OUT, 0)) if head.leave_one_out else timely


def slices(member: h5py.Dataset) -> Iterator[tuple[int, NDArray[Any]]]:
    """A one-dimensional member from front to back, as (first place, values); each values is overwritten by the next."""
    buffer = np.empty(min(len(member), EVENTS_AT_ONCE), dtype=member.dtype)
    for begin in range(0, len(member), EVENTS_AT_ONCE):
        count = min(EVENTS_AT_ONCE, len(member) - begin)
        member.read_direct(buffer, np.s_[begin : begin + count], np.s_[:count])
        yield begin, buffer[:count]
