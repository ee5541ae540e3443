"""Append later ratings to a dataset. Old histories, items and splits stay, and the bytes equal those of a rebuild."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from storage.dataset.format import EVENT_MEMBERS, opened
from storage.dataset.head import Head
from storage.dataset.histories import UserHistories
from storage.dataset.item_index import ItemIndex
from storage.dataset.sorting import merged_histories
from storage.dataset.splits import SplitParams, split_later_users, time_cut
from storage.dataset.writer import write_transitions
from storage.errors import DatasetError
from storage.files import replacing, writing_to

BLOCK_EVENTS = 1 << 18


class _Timestamps:
    """The timestamps of histories, which are made again for each pass over them."""

    def __init__(self, histories: Callable[[], Iterable[UserHistories]]) -> None:
        self.histories = histories

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        return (block.timestamp.astype(np.int64) for block in self.histories())


def extend_transitions(
    base: Path,
    new: Callable[[], Iterable[UserHistories]],
    *,
    out: Path,
    movie_ids: NDArray[np.int64],
    embeddings: NDArray[np.float32],
    splits: SplitParams,
    provenance: Mapping[str, str],
    move_time_cut: bool = False,
) -> dict[str, Any]:
    """Write the union of a dataset's events and new ones.

    Old users keep their split and later users get theirs from `split_later_users`. Frame, scale and, unless it is
    moved, time cut are the base's.
    Of events in the same second the old ones come first. A new event that repeats (user, item, timestamp) is dropped. Blocks
    of both are merged as they are read, so memory is bounded by one block of each and old events are not sorted again.

    Args:
        base: a compact transitions.h5.
        new: gives the new histories, users ascending, items as places in `movie_ids`; called twice, first for the users, and twice
            more if the time cut is moved.
        out: the file to make or to replace, which may be `base`.
        movie_ids: (I,) ascending; all of the base's and any number of others.
        embeddings: (I, D); those of the base's items must be the base's.
        splits: how the base's users were split.
        provenance: digests of the inputs, kept as attributes.
        move_time_cut: whether the time cut becomes the quantile of all events, so that later events are trained on.

    Returns: what `write_transitions` counts, and the users, items and events that were added and repeated.

    Raises:
        DatasetError: the base is not whole or is split by leave-one-out, an old item is missing or changed, or the new histories
            are out of order.
    """
    with opened(base, "compact") as file:
        head = Head.read(file)
        if head.leave_one_out:
            raise DatasetError(
                f"{base}: expected splits by users; found leave-one-out, where later events would turn held-out ones into "
                "training events. Build the dataset again from all ratings."
            )
        place = _old_places(base, head, movie_ids, embeddings)
        users = np.unique(np.concatenate([np.zeros(0, np.int64), *(block.user_id for block in new())]))
        later = np.setdiff1d(users, head.user_ids)
        user_ids, split = _joined(head, later, split_later_users(later, splits))
        counts = {"repeated": 0}

        def merged(counts: dict[str, int]) -> Iterator[UserHistories]:
            return _merged(_old_histories(file, head, place), iter(new()), counts)

        cut = time_cut(_Timestamps(partial(merged, {"repeated": 0})), splits) if move_time_cut else head.time_cut
        with writing_to(out.parent), replacing(out) as temporary:
            facts = write_transitions(
                temporary,
                merged(counts),
                user_ids=user_ids,
                split=split,
                movie_ids=movie_ids,
                embeddings=embeddings,
                scale=head.scale,
                reward=head.reward,
                frame=head.frame,
                time_cut=cut,
                provenance=provenance,
            )
    return facts | {
        "users_added": len(later),
        "items_added": len(movie_ids) - len(head.movie_ids),
        "events_added": facts["events"] - int(head.offset[-1]),
        "repeated": counts["repeated"],
    }


def _old_places(
    base: Path, head: Head, movie_ids: NDArray[np.int64], embeddings: NDArray[np.float32]
) -> NDArray[np.int32]:
    """Where each of the base's items, (I_old,), is among the new ones."""
    if not bool((np.diff(movie_ids) > 0).all()):
        raise DatasetError("items: expected ascending ids; found others. Sort ids and embeddings together.")
    place = ItemIndex(movie_ids).of(head.movie_ids)
    missing = place < 0
    if missing.any():
        raise DatasetError(
            f"{base}: expected its items among the new ones; missing {head.movie_ids[missing][:3].tolist()}. Rebuild the dataset."
        )
    if embeddings.shape[1:] != head.embedding.shape[1:] or embeddings[place].tobytes() != head.embedding.tobytes():
        raise DatasetError(f"{base}: expected the same embeddings of its items; found others. Rebuild the dataset.")
    return place


def _joined(
    head: Head, later: NDArray[np.int64], later_split: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """All users in ascending order, and their splits."""
    ids = np.concatenate((head.user_ids, later))
    order = np.argsort(ids, kind="stable")
    return ids[order], np.concatenate((head.user_split, later_split))[order]


def _old_histories(file: h5py.File, head: Head, place: NDArray[np.int32]) -> Iterator[UserHistories]:
    """The base's histories, items renamed, in blocks of whole users."""
    bounds = np.flatnonzero(np.diff((head.offset[1:] - 1) // BLOCK_EVENTS, prepend=-2))
    for first, last in zip(bounds.tolist(), [*bounds[1:].tolist(), len(head.user_ids)], strict=True):
        events = slice(int(head.offset[first]), int(head.offset[last]))
        item, code, timestamp = (file[name][events] for name in EVENT_MEMBERS)
        for name, values in zip(EVENT_MEMBERS, (item, code, timestamp), strict=True):
            head.need_valid(name, values)
        yield UserHistories(
            user_id=head.user_ids[first:last],
            length=np.diff(head.offset[first : last + 1]),
            item=place[item],
            code=code,
            timestamp=timestamp,
        )


def _merged(
    old: Iterator[UserHistories], new: Iterator[UserHistories], counts: dict[str, int]
) -> Iterator[UserHistories]:
    """Merge both streams; a user in both gets one history."""
    left, right = _next(old), _next(new)
    while left is not None or right is not None:
        # Users up to `bound` are complete in both streams: later blocks hold later users.
        bound = min(int(block.user_id[-1]) for block in (left, right) if block is not None)
        left_part, left = _cut(left, bound)
        right_part, right = _cut(right, bound)
        if len(right_part.user_id):
            left_part, repeated = merged_histories(left_part, right_part)
            counts["repeated"] += repeated
        yield left_part
        left = left if left is not None and len(left.user_id) else _next(old)
        right = right if right is not None and len(right.user_id) else _next(new)


def _next(blocks: Iterator[UserHistories]) -> UserHistories | None:
    return next((block for block in blocks if len(block.user_id)), None)


def _cut(block: UserHistories | None, bound: int) -> tuple[UserHistories, UserHistories | None]:
    """The histories of users up to and including `bound`, and the others."""
    if block is None:
        nothing = np.zeros(0, np.int64)
        return UserHistories(nothing, nothing, nothing.astype(np.int32), nothing.astype(np.uint8), nothing), None
    users = int(np.searchsorted(block.user_id, bound, side="right"))
    return _part(block, 0, users), _part(block, users, len(block.user_id))


def _part(block: UserHistories, begin: int, end: int) -> UserHistories:
    """Some of a block's users, by row."""
    first = int(block.length[:begin].sum())
    events = slice(first, first + int(block.length[begin:end].sum()))
    return UserHistories(
        block.user_id[begin:end],
        block.length[begin:end],
        block.item[events],
        block.code[events],
        block.timestamp[events],
    )
