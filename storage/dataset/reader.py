"""Read a transition dataset into memory. Observations are not stored; `gather` makes them when a batch needs them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.dataset.format import Split, opened
from storage.dataset.gather import DTYPES, Compact, TransitionBatch, gather, new_batch, ring_of
from storage.dataset.head import Head, slices, timely_events
from storage.dataset.histories import rows_of
from storage.dataset.windows import windows_of


class TransitionDataset:
    """Transitions of all users. A transition is identified by its start: the index of its frame's first event.

    Attributes:
        encoded: False, as observations are frames, not encoded states.
        path: the file it was read from.
        head: the file's attributes and members except its events.
        frame: F, events in one observation.
        items: I, number of items.
        dim: D, width of an item embedding.
        scale: of the ratings.
        reward: the reward of a rating.
        reward_bounds: least and greatest reward of the scale.
        user_ids: (U,) int64, ids in the source.
        user_split: (U,) uint8, codes of SPLIT_NAMES.
        movie_ids: (I,) int64, ids in the source.
        embedding: (I, D) float32 tensor.
        item: (N,) int32 tensor, one value per event.
        rating_code: (N,) uint8 tensor, one value per event.
        reward_of_code: (256,) float32 tensor.
        offset: (U + 1,) int64 tensor, first event of each user.
        timely: (U,) int64, events of each user at or before the time cut; with leave-one-out those before the last two.
        timely_end: (U,) int64 tensor, the event after those.
    """

    encoded = False

    def __init__(self, path: Path, head: Head, file: h5py.File) -> None:
        self.path, self.head = path, head
        self.frame, self.scale, self.reward = head.frame, head.scale, head.reward
        self.reward_bounds = head.reward.bounds(head.scale)
        self.user_ids, self.user_split, self.movie_ids = head.user_ids, head.user_split, head.movie_ids
        self.items, self.dim = head.embedding.shape
        self.embedding = torch.from_numpy(head.embedding)
        self.reward_of_code = torch.from_numpy(head.reward_of_code())
        self.offset = torch.from_numpy(head.offset)
        self.timely = timely_events(file, head)
        self.timely_end = self.offset[:-1] + torch.from_numpy(self.timely)
        item, code = np.empty(head.offset[-1], dtype=np.int32), np.empty(head.offset[-1], dtype=np.uint8)
        for into, name in ((item, "events/item"), (code, "events/rating")):
            for begin, values in slices(file[name]):
                head.need_valid(name, values)
                into[begin : begin + len(values)] = values
        self.item, self.rating_code = torch.from_numpy(item), torch.from_numpy(code)
        self._compact: dict[torch.dtype, Compact] = {}

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a whole dataset, compact layout, into memory: five bytes per event.

        Raises:
            DatasetError: the file is missing, damaged, of another format or layout, or its members do not fit together.
        """
        with opened(path, "compact") as file:
            return cls(path, Head.read(file), file)

    @property
    def observation_dim(self) -> int:
        """S = F * D + F."""
        return int(self.frame * self.dim + self.frame)

    def __len__(self) -> int:
        return int((self.offset.diff() - self.frame).clamp_min(0).sum())

    def to(self, device: torch.device | str) -> Self:
        """Move the compact arrays to a device; batches are then gathered there."""
        for name in ("embedding", "item", "rating_code", "reward_of_code", "offset", "timely_end"):
            setattr(self, name, getattr(self, name).to(device))
        self._compact.clear()
        return self

    def timestamps(self) -> NDArray[np.int64]:
        """(N,) unix seconds of all events, read from the file because no batch needs them."""
        with opened(self.path, "compact") as file:
            times: NDArray[np.int64] = file["events/timestamp"][...]
        self.head.need_valid("events/timestamp", times)
        return times

    def starts(self, split: Split) -> Tensor:
        """The starts, (T,) int64, of a split's transitions; see `Head.runs`.

        A history cut by time does not end there: its last training transition is not terminal.
        """
        return torch.from_numpy(rows_of(*self.head.runs(split, self.timely))).to(self.item.device)

    def window_starts(self, split: Split, length: int) -> Tensor:
        """The starts, (W,) int64, of a split's transitions at every `length`-th place from each user's last one back.

        The sequences of `length` actions that end there hold every action of the split, none of them twice.
        """
        first, number = self.head.runs(split, self.timely)
        windows = -(-number // length)
        places = rows_of(np.zeros_like(windows), windows)
        last = np.repeat(first + number - 1, windows)
        return torch.from_numpy(last - places * length).to(self.item.device)

    def last_starts(self, split: Split, max_per_user: int, *, before_cut: bool = False) -> Tensor:
        """The starts of each user's last `max_per_user` transitions of a split, (T,) int64: the steps that policies are evaluated on.

        Args:
            split: of which users; `time` has no steps before the cut.
            max_per_user: at most this many per user.
            before_cut: only actions at or before the time cut; with leave-one-out no action is after it.
        """
        first, number = self.head.runs(split, self.timely)
        if before_cut and not self.head.leave_one_out:
            number = np.minimum(number, np.maximum(self.timely - self.frame, 0))
        kept = np.minimum(number, max_per_user)
        return torch.from_numpy(rows_of(first + number - kept, kept)).to(self.item.device)

    def compact(self, dtype: torch.dtype = torch.float32) -> Compact:
        """The arrays that batches of a dtype are gathered from; they are kept for the next call."""
        if dtype not in DTYPES:
            raise ValueError(f"dtype: expected one of {DTYPES}; found {dtype}. Choose one of these.")
        if dtype not in self._compact:
            self._compact[dtype] = Compact(
                self.item, self.rating_code, self.offset, self.embedding.to(dtype), self.reward_of_code.to(dtype)
            )
        return self._compact[dtype]

    def gather(
        self, starts: Tensor, out: TransitionBatch | None = None, dtype: torch.dtype = torch.float32
    ) -> TransitionBatch:
        """The transitions at `starts` (B,), on the arrays' device.

        Args:
            starts: (B,) int64.
            out: buffers to fill, from `new_batch` or `ring`; None: new ones.
            dtype: of new buffers; given buffers keep their own.
        """
        if out is None:
            out = new_batch(len(starts), self.frame, self.dim, dtype, self.item.device)
        return gather(self.compact(out.observation.dtype), self.frame, starts, out)

    def gather_n_step(
        self, starts: Tensor, n: int, discount: float, out: TransitionBatch | None = None
    ) -> tuple[Tensor, ...]:
        """Transitions of up to n steps from `starts` (B,): those of `gather`, and the discount of what follows.

        m is n, or the number of transitions that are left: those at or before the time cut are not continued after it.

        Args:
            starts: (B,) int64.
            n: steps.
            discount: γ.
            out: buffers to fill, as for `gather`.

        Returns:
            observation (B, S) and action (B, D) of the first step; Σ_{k<m} γᵏ r_{t+k}, (B,); next observation (B, S) and
            terminal (B,) of the last step; γᵐ, (B,).
        """
        starts = starts.to(self.item.device)
        steps = self.steps_left(starts).clamp_max(n)
        first, last = self.gather(starts, out), self.gather(starts + steps - 1)
        reward = self.rewards_ahead(starts, steps, n, discount)
        return first.observation, first.action, reward, last.next_observation, last.terminal, discount**steps

    def rewards_ahead(self, starts: Tensor, steps: Tensor, n: int, discount: float) -> Tensor:
        """Σ_{k<m} γᵏ r_{t+k}, (B,) float32, of `steps` (B,) steps m ≤ n from each of the transitions at `starts` (B,)."""
        k = torch.arange(n, device=starts.device)
        rewards = self.target_rewards(starts.unsqueeze(1) + torch.minimum(k, steps.unsqueeze(1) - 1))
        return ((discount**k).where(k < steps.unsqueeze(1), 0.0) * rewards).sum(1)

    def windows(self, starts: Tensor, length: int, n: int, discount: float, shift: Tensor) -> tuple[Tensor, ...]:
        """Windows of events around the transitions at `starts` (B,); see `windows_of`."""
        return windows_of(self, starts, length, n, discount, shift)

    def steps_left(self, starts: Tensor) -> Tensor:
        """How many transitions of its history there are from each on, (B,) int64; at or before the time cut, up to the cut."""
        action, user = starts + self.frame, self.users_of(starts)
        cut = self.timely_end[user]
        return cut.where(action < cut, self.offset[user + 1]) - action

    def ring(
        self, batch_size: int, depth: int = 2, dtype: torch.dtype = torch.float32
    ) -> Iterator[TransitionBatch | None]:
        """Buffers for `gather`, used in turn; a batch is overwritten `depth` batches later.

        On a GPU it yields None, because torch reuses memory there itself.
        """
        if self.item.device.type != "cpu":
            while True:
                yield None
        yield from ring_of(depth, batch_size, self.frame, self.dim, dtype)

    def rating(self, event: int) -> float:
        """The rating of one event, on the scale of its source."""
        return self.scale.rating_min + self.scale.step * int(self.rating_code[event])

    def histories(self, starts: Tensor, most: int | None = None) -> tuple[Tensor, Tensor]:
        """The events of each user before each action: items (B, L) int64 and rewards (B, L) float32, newest last.

        Args:
            starts: (B,) int64.
            most: number of latest events to return; None: as many as the longest history has.
        """
        starts = starts.to(self.item.device)
        return self.events_between(self.offset[self.users_of(starts)], starts + self.frame, most)

    def events_between(
        self, begin: Tensor, end: Tensor, most: int | None = None, order: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Runs of events: items (B, L) int64 and rewards (B, L) float32, the run's last event last.

        Args:
            begin: (B,) int64, first event of each run.
            end: (B,) int64, the event after its last.
            most: number of last events to return; None: as many as the longest run has. Shorter runs are padded on the
                left with item -1 and reward 0.
            order: (E,) int64, events of which `begin` and `end` are places; None: all events in their order.
        """
        number = end - begin
        length = int(number.max()) if most is None else most
        back = torch.arange(length, 0, -1, device=end.device)
        events = (end.unsqueeze(1) - back).clamp_min(0)
        if order is not None:
            events = order[events]
        present = back <= number.unsqueeze(1)
        return self.item[events].long().where(present, -1), self.rewards_of(events).where(present, 0.0)

    def sequences(self, starts: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """Sequences of events that end with the action of each transition.

        Args:
            starts: (B,) int64.
            length: number of events before the action.

        Returns:
            items (B, length + 1) int64 and rewards (B, length + 1) float32, padded on the left as by `histories`;
            terminal (B,) float32, 1 where the action ends its history.
        """
        items, rewards = self.histories(starts, length)
        starts = starts.to(self.item.device)
        return (
            torch.cat((items, self.target_items(starts).unsqueeze(1)), dim=1),
            torch.cat((rewards, self.target_rewards(starts).unsqueeze(1)), dim=1),
            (starts + self.frame + 1 == self.offset[self.users_of(starts) + 1]).float(),
        )

    def target_items(self, starts: Tensor) -> Tensor:
        """The item index, (B,) int64, of each transition's action."""
        return self.item[starts.to(self.item.device) + self.frame].long()

    def target_rewards(self, starts: Tensor) -> Tensor:
        """The reward, (B,) float32, of each transition."""
        return self.rewards_of(starts.to(self.item.device) + self.frame)

    def rewards_of(self, events: Tensor) -> Tensor:
        """Rewards, float32, of events, int64 of any shape."""
        rewards: Tensor = self.reward_of_code[self.rating_code[events].int()]
        return rewards

    def liked(self, events: Tensor) -> Tensor:
        """Whether events, int64 of any shape, have a liked rating: 4 of 0.5 … 5 stars, or as far up another scale."""
        return self.rating_code[events] >= self.scale.liked_code

    def users_of(self, starts: Tensor) -> Tensor:
        """The user row, (B,) int64, of each transition, or of any events."""
        return torch.searchsorted(self.offset, starts.to(self.item.device), right=True) - 1

    def training_events(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """User row, item index, reward and unix time, (n,) each, of all training events.

        Users come one after another, each one's events in time order; all are int64 but the rewards, float32.
        """
        number = np.where(self.user_split == 0, self.timely, 0)
        rows = rows_of(self.head.offset[:-1], number)
        users = torch.from_numpy(np.repeat(np.arange(len(number)), number)).to(self.item.device)
        times = torch.from_numpy(self.timestamps()[rows]).to(self.item.device)
        events = torch.from_numpy(rows).to(self.item.device)
        return users, self.item[events].long(), self.rewards_of(events), times
