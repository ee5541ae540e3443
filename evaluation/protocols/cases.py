"""Evaluation cases: the known events of a user, and the target events, which are ranked among all other items."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from models.histories import Histories
from storage.dataset.format import Split
from storage.dataset.reader import TransitionDataset
from storage.errors import DatasetError

Protocol = Literal["next-item", "fold-in", "mult-vae"]
VALIDATION_LAST = 20  # steps per validation user


@dataclass(frozen=True)
class Cases:
    """A set of cases of one split and protocol, each of one user.

    Legend of shapes: T cases, E events
        users   (T,) int64    user rows
        known   (T, 2) int64  begin and end in `events` of a case's history, in time order
        targets (T, 2) int64  begin and end in `events` of the targets
        events  (E,) int64    event rows of the dataset; None: all, in their order
    """

    protocol: Protocol
    split: Split
    users: Tensor
    known: Tensor
    targets: Tensor
    events: Tensor | None = None

    def __len__(self) -> int:
        return len(self.users)

    def at(self, rows: Tensor) -> "Cases":
        """The cases at `rows`, (S,) int64, or where they are true, (T,) bool."""
        return replace(self, users=self.users[rows], known=self.known[rows], targets=self.targets[rows])

    def histories(self, dataset: TransitionDataset, rows: Tensor) -> Histories:
        """The histories of the cases `rows` (B,), padded on the left."""
        return Histories(*dataset.events_between(self.known[rows, 0], self.known[rows, 1], order=self.events))

    def target_events(self) -> tuple[Tensor, Tensor]:
        """The event rows (M,) int64 of all targets, case after case, and the begin of each case's targets, (T + 1,) int64."""
        first, end = self.targets.unbind(1)
        offset = torch.cat((torch.zeros_like(first[:1]), (end - first).cumsum(0)))
        place = torch.arange(int(offset[-1]), device=first.device) + (first - offset[:-1]).repeat_interleave(
            end - first
        )
        return place if self.events is None else self.events[place], offset


def next_item_cases(
    dataset: TransitionDataset, split: Split, per_user: int, most: int | None = None, seed: int = 0
) -> Cases:
    """Each user's last `per_user` transitions of a split: all earlier events are known, the action is the target.

    For validation users, these are steps before the time cut: otherwise the split by time would be evaluated with
    hyper-parameters selected on the same period.

    Args:
        dataset: of the histories.
        split: `test`, `validation` and `train` are of different users, with leave-one-out of different events of the same users;
            `time` is training users after the time cut.
        per_user: at most so many cases per user.
        most: at most so many cases, drawn at random; None: all.
        seed: of the draw.
    """
    starts = dataset.last_starts(split, per_user, before_cut=split == "validation")
    if most is not None:
        starts = at_most(starts, most, seed)
    users, action = dataset.users_of(starts), starts + dataset.frame
    known = torch.stack((dataset.offset[users], action), 1)
    return Cases("next-item", split, users, known, torch.stack((action, action + 1), 1))


def validation_cases(dataset: TransitionDataset, most: int, seed: int) -> Cases:
    """The cases by which hyper-parameters and checkpoints are selected: each validation user's last 20 steps before the time cut.

    Raises:
        DatasetError: no validation user has such steps.
    """
    cases = next_item_cases(dataset, "validation", VALIDATION_LAST, most, seed)
    if len(cases) == 0:
        raise DatasetError(
            "validation: expected users with more than F events before the time cut; found none. "
            "Raise export.splits.validation or give more ratings."
        )
    return cases


def fold_in_cases(dataset: TransitionDataset, split: Split, share: float = 0.8) -> Cases:
    """One case per user: the first part of a history is known, the rest are the targets.

    For the split `time` the events up to the time cut are known, else the first `share` of a history. Histories of validation
    users end at the cut, as in `next_item_cases`. Users need F or more known events and at least one target.

    Raises:
        DatasetError: the dataset is split by leave-one-out.
    """
    need_held_out_users(dataset, "fold-in")
    first, end = dataset.offset[:-1], last_events(dataset, split)
    _, number = dataset.head.runs(split, dataset.timely)
    cut = torch.from_numpy(dataset.timely).to(first) if split == "time" else ((end - first) * share).long()
    chosen = torch.from_numpy(number > 0).to(first.device) & (cut >= dataset.frame) & (first + cut < end)
    users = chosen.nonzero().squeeze(1)
    middle = (first + cut)[users]
    return Cases("fold-in", split, users, torch.stack((first[users], middle), 1), torch.stack((middle, end[users]), 1))


def mult_vae_cases(dataset: TransitionDataset, split: Split, seed: int = 0) -> Cases:
    """One case per user, after Liang et al. 2018, §4.1: of the items rated 4 or more a random fifth are the targets.

    They use users with five such items or more; here F or more must be known too, since a policy's state needs them. Known
    items stay in time order. Histories of validation users end at the time cut, as in `next_item_cases`.

    Raises:
        DatasetError: the dataset is split by leave-one-out.
    """
    need_held_out_users(dataset, "mult-vae")
    rng = np.random.default_rng(seed)
    _, number = dataset.head.runs(split, dataset.timely)
    offset, end_of = dataset.head.offset, last_events(dataset, split).tolist()
    positive = (dataset.rating_code >= dataset.scale.liked_code).cpu().numpy()
    users, events, known, targets, place = [], [], [], [], 0
    for user in np.flatnonzero(number > 0).tolist():
        rows = offset[user] + np.flatnonzero(positive[offset[user] : end_of[user]])
        count = max(1, int(len(rows) * 0.2))
        if len(rows) - count < max(dataset.frame, 4):
            continue
        out = np.zeros(len(rows), dtype=bool)
        out[rng.choice(len(rows), count, replace=False)] = True
        middle, end = place + len(rows) - count, place + len(rows)
        users.append(user)
        events += [rows[~out], rows[out]]
        known.append((place, middle))
        targets.append((middle, end))
        place = end
    device = dataset.item.device
    return Cases(
        "mult-vae",
        split,
        torch.tensor(users, dtype=torch.int64, device=device),
        torch.tensor(known, dtype=torch.int64, device=device).view(-1, 2),
        torch.tensor(targets, dtype=torch.int64, device=device).view(-1, 2),
        torch.from_numpy(np.concatenate(events) if events else np.empty(0, np.int64)).to(device),
    )


def need_held_out_users(dataset: TransitionDataset, protocol: Protocol) -> None:
    """Refuse a protocol whose targets are events that training saw, unless they are of held-out users.

    Raises:
        DatasetError: the dataset is split by leave-one-out.
    """
    if dataset.head.leave_one_out:
        raise DatasetError(
            f"{protocol}: expected a dataset split by users; found leave-one-out, whose users were all trained on. "
            "Build one with export.splits.mode=users."
        )


def last_events(dataset: TransitionDataset, split: Split) -> Tensor:
    """The event after the last one of each history, (U,) int64; of validation users, after the last one before the time cut."""
    return dataset.timely_end if split == "validation" else dataset.offset[1:]


def at_most(starts: Tensor, most: int, seed: int) -> Tensor:
    """At most `most` of the starts (T,), drawn without replacement, in their order: (min(T, most),)."""
    if len(starts) <= most:
        return starts
    rows = np.sort(np.random.default_rng(seed).choice(len(starts), most, replace=False))
    return starts[torch.from_numpy(rows).to(starts.device)]
