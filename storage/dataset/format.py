"""The format of a transition dataset: its members, its attributes, and how a file is opened and checked."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from storage.dataset.scale import RatingScale, RewardMap
from storage.errors import DatasetError

FORMAT = "marquee-transitions/1"
SPLIT_NAMES = ("train", "validation", "test")  # their place is the code in /users/split
EVENT_MEMBERS = ("events/item", "events/rating", "events/timestamp")
MEMBERS = (*EVENT_MEMBERS, "users/id", "users/offset", "users/split", "items/id", "items/embedding")
ATTRIBUTES = (  # of /events/rating
    "rating_min", "rating_step", "rating_lowest", "rating_highest", "reward_scale", "reward_offset",
)  # fmt: skip
EVENTS_AT_ONCE = 1 << 20  # of one read: bounds what a reader holds beside its result

Split = Literal["train", "validation", "test", "time", "all"]


def scale_attributes(scale: RatingScale, reward: RewardMap) -> dict[str, float]:
    """Attributes of /events/rating: rating = rating_min + rating_step * code, reward = reward_scale * rating + reward_offset."""
    return {
        "rating_min": scale.rating_min,
        "rating_step": scale.step,
        "rating_lowest": scale.lowest,
        "rating_highest": scale.highest,
        "reward_scale": reward.scale,
        "reward_offset": reward.offset,
    }


@contextmanager
def opened(path: Path, layout: str) -> Iterator[h5py.File]:
    """A transition dataset of one layout, to be read.

    Raises:
        DatasetError: the file is missing, damaged (also where that shows only while reading), or of another format.
    """
    try:
        with h5py.File(path, "r") as file:
            found = (file.attrs.get("format"), file.attrs.get("layout"))
            if found[0] == FORMAT and found[1] != layout:
                raise DatasetError(f"{path}: expected the {layout} layout; found {found[1]}. {_OTHER.get(layout, '')}")
            if found[0] != FORMAT:
                raise DatasetError(f"{path}: expected format {FORMAT}; found {found[0]!r}.")
            yield file
    except (OSError, KeyError) as error:
        raise DatasetError(
            f"{path}: expected a whole {FORMAT} file; found {error}. Pull it again or run build-dataset again."
        ) from error


_OTHER = {
    "compact": "Open the transitions.h5 it was exported from, or read it with storage.dataset.dense_source.DenseSource or plain h5py.",
    "dense": "Make one with storage.dataset.dense_writer.export_dense (marquee export --layout dense).",
}


@dataclass(frozen=True)
class Head:
    """A compact file without its events; U users, I items.

    Attributes:
        frame: F, events in one observation.
        time_cut: unix seconds; training sees no later action.
        scale: of the ratings.
        reward: the reward of a rating.
        user_ids: (U,) int64, ids in the source.
        user_split: (U,) uint8, codes of SPLIT_NAMES.
        offset: (U + 1,) int64, first event of each user.
        movie_ids: (I,) int64, ids in the source.
        embedding: (I, D) float32.
        attributes: the file's own.
    """

    frame: int
    time_cut: int
    scale: RatingScale
    reward: RewardMap
    user_ids: NDArray[np.int64]
    user_split: NDArray[np.uint8]
    offset: NDArray[np.int64]
    movie_ids: NDArray[np.int64]
    embedding: NDArray[np.float32]
    attributes: Mapping[str, Any]

    @classmethod
    def read(cls, file: h5py.File) -> Self:
        """Read and check it.

        Raises:
            DatasetError: members or attributes are missing or do not fit one another.
        """
        attributes = dict(file.attrs)
        events = {len(file[name]) for name in EVENT_MEMBERS}
        users, items = len(file["users/id"]), len(file["items/id"])
        offset = file["users/offset"][...]
        good = (
            {"frame", "time_cut"} <= set(attributes)
            and len(events) == 1
            and len(file["users/split"]) == users
            and len(offset) == users + 1
            and offset[0] == 0
            and offset[-1] in events
            and bool((np.diff(offset) >= 0).all())
            and file["items/embedding"].ndim == 2
            and len(file["items/embedding"]) == items
        )
        if not good:
            shapes = {name: file[name].shape for name in MEMBERS}
            raise DatasetError(
                f"{file.filename}: expected members that fit one another; found {shapes} and {sorted(attributes)}."
            )
        scale, reward = _scale_and_reward(file)
        return cls(
            frame=int(attributes["frame"]),
            time_cut=int(attributes["time_cut"]),
            scale=scale,
            reward=reward,
            user_ids=file["users/id"][...],
            user_split=file["users/split"][...],
            offset=offset,
            movie_ids=file["items/id"][...],
            embedding=file["items/embedding"][...],
            attributes=attributes,
        )

    def reward_of_code(self) -> NDArray[np.float32]:
        """(256,) float32: the reward that each rating code stands for."""
        return (self.reward.scale * self.scale.ratings() + self.reward.offset).astype(np.float32)

    def runs(self, split: Split, timely: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """A split's transitions as one run of neighbouring starts per user: first start and number, (U,) each.

        `train`: training users, action at or before the time cut; `time`: training users, action after it;
        `validation` and `test`: all transitions of those users.

        Args:
            split: which.
            timely: (U,) events of each user at or before the time cut.
        """
        first = self.offset[:-1]
        whole = np.maximum(np.diff(self.offset) - self.frame, 0)
        early = np.maximum(timely - self.frame, 0)
        if split == "all":
            return first, whole
        if split == "train":
            return first, np.where(self.user_split == 0, early, 0)
        if split == "time":
            return first + early, np.where(self.user_split == 0, whole - early, 0)
        return first, np.where(self.user_split == SPLIT_NAMES.index(split), whole, 0)


def timely_events(file: h5py.File, head: Head) -> NDArray[np.int64]:
    """How many events of each user, (U,), lie at or before the time cut; histories are in time order, so these come first."""
    before = np.zeros(len(head.offset), dtype=np.int64)  # timely events before each user's first
    total = 0
    for begin, times in slices(file["events/timestamp"]):
        running = np.cumsum(times <= head.time_cut, dtype=np.int32)
        low, high = np.searchsorted(head.offset, (begin, begin + len(times)), side="right")
        before[low:high] = total + running[head.offset[low:high] - begin - 1]
        total += int(running[-1])
    return np.diff(before)


def slices(member: h5py.Dataset) -> Iterator[tuple[int, NDArray[Any]]]:
    """A one-dimensional member from front to back, as (first place, values); each values is overwritten by the next."""
    buffer = np.empty(min(len(member), EVENTS_AT_ONCE), dtype=member.dtype)
    for begin in range(0, len(member), EVENTS_AT_ONCE):
        count = min(EVENTS_AT_ONCE, len(member) - begin)
        member.read_direct(buffer, np.s_[begin : begin + count], np.s_[:count])
        yield begin, buffer[:count]


def need_within(path: Path, name: str, values: NDArray[Any], most: int) -> None:
    """Refuse indices or codes outside 0 … most; later look-ups do not check them again.

    Raises:
        DatasetError: there are some.
    """
    if len(values) and (values.min() < 0 or values.max() > most):
        raise DatasetError(
            f"{path}: expected {name} of 0 … {most}; found {values.min()} … {values.max()}. Pull it again or run "
            "build-dataset again."
        )


def _scale_and_reward(file: h5py.File) -> tuple[RatingScale, RewardMap]:
    attributes = dict(file["events/rating"].attrs)
    try:
        scale = RatingScale(
            lowest=attributes["rating_lowest"], highest=attributes["rating_highest"], step=attributes["rating_step"]
        )
        reward = RewardMap(scale=attributes["reward_scale"], offset=attributes["reward_offset"])
    except (KeyError, ValidationError) as error:
        raise DatasetError(
            f"{file.filename}: expected the attributes of a rating scale and a reward map, {list(ATTRIBUTES)}; "
            f"found {attributes}. Run build-dataset again."
        ) from error
    if scale_attributes(scale, reward) != {name: attributes.get(name) for name in ATTRIBUTES}:
        raise DatasetError(f"{file.filename}: expected attributes of one rating scale; found {attributes}.")
    return scale, reward
