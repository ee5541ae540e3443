"""Reading the transition dataset: compact arrays live in memory, observations are gathered where they are used."""

from pathlib import Path
from typing import Any, Literal, Self

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.errors import DatasetError
from storage.transitions_format import FORMAT, MEMBERS, SPLIT_NAMES

Split = Literal["train", "validation", "test", "time", "all"]
Gathered = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
REWARD_SCALE, REWARD_CENTRE = 2.0, 2.5


class TransitionDataset:
    """Transitions of all users, each named by its start: the index of its frame's first event.

    Attributes:
        frame: F, events in one observation.
        items: I, number of items.
        dim: D, width of an item embedding.
        time_cut: unix seconds; training sees no later action.
        user_ids: (U,) int64, outside ids.
        user_split: (U,) uint8, codes of SPLIT_NAMES.
        movie_ids: (I,) int64, outside ids.
        embedding: (I, D) float32 tensor.
        item, rating_code, timestamp, user: (N,) tensors, one value per event.
        reward: (N,) float32 tensor, 2 * (rating - 2.5).
        offset: (U + 1,) int64 tensor, first event of each user.
    """

    def __init__(self, arrays: dict[str, NDArray[Any]], attributes: dict[str, Any], where: str) -> None:
        _check(arrays, attributes, where)
        self.frame = int(attributes["frame"])
        self.time_cut = int(attributes["time_cut"])
        self.user_ids: NDArray[np.int64] = arrays["users/id"]
        self.user_split: NDArray[np.uint8] = arrays["users/split"]
        self.movie_ids: NDArray[np.int64] = arrays["items/id"]
        self.items, self.dim = arrays["items/embedding"].shape
        self.embedding = torch.from_numpy(arrays["items/embedding"])
        self.item = torch.from_numpy(arrays["events/item"].astype(np.int32))
        self.rating_code = torch.from_numpy(arrays["events/rating"])
        self.timestamp = torch.from_numpy(arrays["events/timestamp"])
        self.offset = torch.from_numpy(arrays["users/offset"])
        lengths = np.diff(arrays["users/offset"])
        self.user = torch.from_numpy(np.repeat(np.arange(len(lengths), dtype=np.int32), lengths))
        rating = attributes["rating_min"] + attributes["rating_step"] * self.rating_code.to(torch.float32)
        self.reward = REWARD_SCALE * (rating - REWARD_CENTRE)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a whole dataset into memory.

        Raises:
            DatasetError: the file is missing, damaged, of another format, or contradicts itself.
        """
        try:
            with h5py.File(path, "r") as file:
                attributes = dict(file.attrs)
                if attributes.get("format") != FORMAT:
                    raise DatasetError(f"{path}: expected format {FORMAT}; found {attributes.get('format')!r}.")
                attributes |= dict(file["events/rating"].attrs)
                arrays = {name: file[name][...] for name in MEMBERS}
        except (OSError, KeyError) as error:
            raise DatasetError(
                f"{path}: expected a whole {FORMAT} file; found {error}. Pull it again or run build-dataset again."
            ) from error
        return cls(arrays, attributes, str(path))

    @property
    def observation_dim(self) -> int:
        """S = F * D + F."""
        return int(self.frame * self.dim + self.frame)

    def __len__(self) -> int:
        return int((self.offset.diff() - self.frame).clamp_min(0).sum())

    def to(self, device: torch.device | str) -> Self:
        """Move the compact arrays to a device; batches are then gathered there."""
        for name in ("embedding", "item", "rating_code", "timestamp", "offset", "user", "reward"):
            setattr(self, name, getattr(self, name).to(device))
        return self

    def starts(self, split: Split) -> Tensor:
        """The starts, (T,) int64, of a split's transitions.

        `train`: training users, action at or before the time cut; `time`: training users, action after it;
        `validation` and `test`: all transitions of those users. A history cut by time does not end there: its last
        training transition is not terminal.
        """
        last = self.offset[1:].index_select(0, self.user.long())
        position = torch.arange(len(self.item), device=self.item.device)
        action = position + self.frame
        whole = action < last
        position, action = position[whole], action[whole]
        if split == "all":
            return position
        code = self._split_of(position)
        late = self.timestamp[action] > self.time_cut
        if split == "train":
            return position[(code == 0) & ~late]
        if split == "time":
            return position[(code == 0) & late]
        return position[code == SPLIT_NAMES.index(split)]

    def last_starts(self, split: Split, max_per_user: int) -> Tensor:
        """The starts of each user's last `max_per_user` transitions of a split, (T,) int64: steps to judge a policy on."""
        starts = self.starts(split)
        users = self.user[starts]
        is_last = torch.ones_like(starts, dtype=torch.bool)
        if len(starts) > max_per_user:
            is_last[:-max_per_user] = users[:-max_per_user] != users[max_per_user:]
        return starts[is_last]

    def gather(self, starts: Tensor) -> Gathered:
        """The transitions at `starts` (B,): observation (B, S), action (B, D), reward (B,), next (B, S), terminal (B,).

        All float32 on the arrays' device; S = F * D + F, `[e_1 … e_F | r_1 … r_F]`, oldest first, r being rewards.
        """
        frame, width = self.frame, self.frame * self.dim
        window = self._windows(starts, frame + 1)
        embedded = self.embedding.index_select(0, self.item[window].long().view(-1)).view(len(starts), -1)
        rewards = self.reward[window]
        action = window[:, -1]
        observation = torch.cat((embedded[:, :width], rewards[:, :frame]), dim=1)
        next_observation = torch.cat((embedded[:, self.dim :], rewards[:, 1:]), dim=1)
        terminal = action + 1 == self.offset[self.user[action].long() + 1]
        return observation, embedded[:, width:], rewards[:, -1], next_observation, terminal.to(torch.float32)

    def _windows(self, starts: Tensor, length: int) -> Tensor:
        """The event indices, (B, length), from each start on."""
        return starts.to(self.item.device).unsqueeze(1) + torch.arange(length, device=self.item.device)

    def _split_of(self, events: Tensor) -> Tensor:
        """The split code, uint8, of each event's user."""
        return torch.from_numpy(self.user_split).to(self.item.device)[self.user[events].long()]

    def rating(self, event: int) -> float:
        """The stars of one event."""
        return float(self.reward[event]) / REWARD_SCALE + REWARD_CENTRE

    def observations(self, starts: Tensor) -> Tensor:
        """Only the observations, (B, S) float32."""
        window = self._windows(starts, self.frame)
        embedded = self.embedding.index_select(0, self.item[window].long().view(-1)).view(len(starts), -1)
        return torch.cat((embedded, self.reward[window]), dim=1)

    def target_items(self, starts: Tensor) -> Tensor:
        """The item index, (B,) int64, of each transition's action."""
        return self.item[starts.to(self.item.device) + self.frame].long()

    def target_rewards(self, starts: Tensor) -> Tensor:
        """The reward, (B,) float32, of each transition."""
        rewards: Tensor = self.reward[starts.to(self.item.device) + self.frame]
        return rewards

    def users_of(self, starts: Tensor) -> Tensor:
        """The user row, (B,) int64, of each transition."""
        return self.user[starts.to(self.item.device)].long()

    def seen(self, starts: Tensor) -> tuple[Tensor, Tensor]:
        """What each user had rated before each action, as (rows, items) index pairs; the target itself is left out."""
        starts = starts.to(self.item.device)
        first = self.offset[self.users_of(starts)]
        lengths = starts + self.frame - first
        rows = torch.repeat_interleave(torch.arange(len(starts), device=starts.device), lengths)
        ends = torch.cumsum(lengths, 0)
        events = torch.arange(len(rows), device=starts.device) - (ends - lengths)[rows] + first[rows]
        items = self.item[events].long()
        again = items == self.target_items(starts)[rows]
        return rows[~again], items[~again]

    def frame_items(self, starts: Tensor) -> Tensor:
        """The item indices, (B, F) int64, of each transition's frame, oldest first."""
        return self.item[self._windows(starts, self.frame)].long()

    def training_events(self) -> tuple[Tensor, Tensor]:
        """User row and item index, (N,) int64 each, of all events that may be learnt from."""
        everything = torch.arange(len(self.item), device=self.item.device)
        training = (self._split_of(everything) == 0) & (self.timestamp <= self.time_cut)
        return self.user[training].long(), self.item[training].long()


def _check(arrays: dict[str, NDArray[Any]], attributes: dict[str, Any], where: str) -> None:
    events, users = len(arrays["events/item"]), len(arrays["users/id"])
    offset = arrays["users/offset"]
    good = (
        {"frame", "time_cut", "rating_min", "rating_step"} <= set(attributes)
        and len(arrays["events/rating"]) == len(arrays["events/timestamp"]) == events
        and len(arrays["users/split"]) == users
        and len(offset) == users + 1
        and offset[0] == 0
        and offset[-1] == events
        and bool((np.diff(offset) >= 0).all())
        and arrays["items/embedding"].ndim == 2
        and len(arrays["items/embedding"]) == len(arrays["items/id"])
        and (events == 0 or int(arrays["events/item"].max()) < len(arrays["items/id"]))
    )
    if not good:
        shapes = {name: array.shape for name, array in arrays.items()}
        raise DatasetError(f"{where}: expected members that fit one another; found {shapes} and {sorted(attributes)}.")
