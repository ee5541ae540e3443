"""The dataset card: what the data is, how it is split, and its known limits."""

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from evaluation.record import Record
from storage.artifacts.manifest import Manifest
from storage.dataset.format import SPLIT_NAMES, Split
from storage.dataset.reader import TransitionDataset

DAY = 86_400


class SplitSize(Record):
    """One split: its users, events and transitions."""

    name: str
    what: str
    users: int
    events: int | None
    transitions: int


class RatingCount(Record):
    """The number of events with one rating."""

    rating: float
    events: int


class Quantiles(Record):
    """Quantiles of a count per user or item."""

    least: float
    q25: float
    q50: float
    q75: float
    q90: float
    most: float


class DatasetCard(Record):
    """What the data is, how it is split, and its known limits."""

    digest: str
    generated: bool
    users: int
    items: int
    events: int
    transitions: int
    frame: int
    dim: int
    first_event: str | None  # a date
    last_event: str | None
    time_cut: str
    splits: tuple[SplitSize, ...]
    ratings: tuple[RatingCount, ...]
    mean_rating: float | None
    events_per_user: Quantiles
    events_per_item: Quantiles
    items_without_events: int
    density: float | None  # share of all user-item pairs that are rated
    same_second_share: float | None  # of neighbouring events
    one_day_users_share: float | None
    licences: tuple[str, ...]
    caveats: tuple[str, ...]


def dataset_card(dataset: TransitionDataset, manifest: Manifest) -> DatasetCard:
    """Count and describe a dataset."""
    sizes = dataset.offset.diff().cpu().numpy()
    times = dataset.timestamps()
    codes = np.bincount(dataset.rating_code.cpu().numpy(), minlength=256)
    given = np.flatnonzero(codes)
    ratings = dataset.scale.ratings()[given]
    per_item = np.bincount(dataset.item.cpu().numpy(), minlength=dataset.items)
    apart, inside = np.diff(times), np.ones(max(len(times) - 1, 0), dtype=bool)
    borders = dataset.head.offset[1:-1]
    inside[borders[(borders > 0) & (borders < len(times))] - 1] = False
    same_second = float((apart[inside] == 0).mean()) if inside.any() else None
    there = sizes > 0
    first, last = dataset.head.offset[:-1][there], dataset.head.offset[1:][there] - 1
    one_day = float((times[last] - times[first] < DAY).mean()) if there.any() else None
    return DatasetCard(
        digest=manifest.digest,
        generated=manifest.generated,
        users=len(sizes),
        items=dataset.items,
        events=len(times),
        transitions=len(dataset),
        frame=dataset.frame,
        dim=dataset.dim,
        first_event=day_of(int(times.min())) if len(times) else None,
        last_event=day_of(int(times.max())) if len(times) else None,
        time_cut=day_of(dataset.head.time_cut),
        splits=split_sizes(dataset, sizes),
        ratings=tuple(
            RatingCount(rating=float(rating), events=int(codes[code]))
            for rating, code in zip(ratings, given, strict=True)
        ),
        mean_rating=float((ratings * codes[given]).sum() / codes.sum()) if len(given) else None,
        events_per_user=quantiles(sizes),
        events_per_item=quantiles(per_item),
        items_without_events=int((per_item == 0).sum()),
        density=len(times) / (len(sizes) * dataset.items) if len(sizes) and dataset.items else None,
        same_second_share=same_second,
        one_day_users_share=one_day,
        licences=manifest.licences,
        caveats=caveats(manifest.generated, same_second, one_day),
    )


def split_sizes(dataset: TransitionDataset, sizes: NDArray[np.int64]) -> tuple[SplitSize, ...]:
    """Users, events and transitions of every split."""
    words = {
        "train": "training, up to the time cut",
        "validation": "selection of checkpoints and hyper-parameters",
        "test": "evaluation, in every report of this dataset; no method was fitted, tuned or selected on them",
    }
    if dataset.head.leave_one_out:
        return tuple(_held_out_size(dataset, name) for name in LEAVE_ONE_OUT_SPLITS)
    found = []
    for code, name in enumerate(SPLIT_NAMES):
        users = dataset.user_split == code
        number = len(dataset.starts(name))  # type: ignore[arg-type]
        found.append(
            SplitSize(
                name=name, what=words[name], users=int(users.sum()), events=int(sizes[users].sum()), transitions=number
            )
        )
    late = dataset.starts("time")
    users_late = len(dataset.users_of(late).unique())
    what = "training users' steps after the time cut"
    return (*found, SplitSize(name="time", what=what, users=users_late, events=None, transitions=len(late)))


LEAVE_ONE_OUT_SPLITS: Mapping[Split, str] = {
    "train": "training: all events of every user but the last two",
    "validation": "selection of checkpoints and hyper-parameters: the last event but one of every user",
    "test": "evaluation: the last event of every user; no method was fitted, tuned or selected on it",
}


def _held_out_size(dataset: TransitionDataset, name: Split) -> SplitSize:
    """One split of a leave-one-out dataset, whose users are the same in all."""
    starts = dataset.starts(name)
    return SplitSize(
        name=name,
        what=LEAVE_ONE_OUT_SPLITS[name],
        users=len(dataset.users_of(starts).unique()),
        events=int(dataset.timely.sum()) if name == "train" else len(starts),
        transitions=len(starts),
    )


def caveats(generated: bool, same_second: float | None, one_day: float | None) -> tuple[str, ...]:
    """Known limits of the data, which affect every number computed from it."""
    said = []
    if generated:
        said.append(
            "The ratings are generated from known preferences: they show that the pipeline works and say nothing about real people."
        )
    if same_second is not None and one_day is not None and (same_second > 0.01 or one_day > 0.1):
        said.append(
            f"The order of these ratings is partly the order of the pages on which users rated: {same_second:.0%} of neighbouring events "
            f"share a second, and {one_day:.0%} of the users rated everything within one day. Next-item metrics overestimate "
            "methods that use the order; in the Mult-VAE protocol the order does not count."
        )
    said.append(
        "Users choose what they rate: an unrated item is not a disliked item, and users who rate differ from users who watch."
    )
    return tuple(said)


def quantiles(counts: NDArray[np.int64]) -> Quantiles:
    """The quantiles of counts (N,); zeros without counts."""
    values = np.quantile(counts, (0, 0.25, 0.5, 0.75, 0.9, 1)).tolist() if len(counts) else [0.0] * 6
    return Quantiles(**dict(zip(Quantiles.model_fields, values, strict=True)))


def day_of(seconds: int) -> str:
    """The day of a Unix time, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
