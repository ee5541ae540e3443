"""Writing the transition dataset's compact layout, `marquee-transitions/1`: histories once, not 11-fold."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from storage.errors import DatasetError
from storage.transitions_format import FORMAT, SPLIT_NAMES

RATING_MIN, RATING_STEP, RATING_CODES = 0.0, 0.5, 10
EVENT_CHUNK = 1 << 18
ITEM_CHUNK_BYTES = 1 << 20


def write_transitions(
    path: Path,
    *,
    item: NDArray[np.int64],
    rating: NDArray[np.float32],
    timestamp: NDArray[np.int64],
    offsets: NDArray[np.int64],
    user_ids: NDArray[np.int64],
    split: NDArray[np.uint8],
    movie_ids: NDArray[np.int64],
    embeddings: NDArray[np.float32],
    frame: int,
    time_cut: int,
    provenance: Mapping[str, str],
) -> dict[str, Any]:
    """Write N events of U users over I items; equal inputs give equal bytes.

    Args:
        path: the file to make; whoever calls commits it by renaming its folder.
        item: (N,) item index of each event, grouped by user, in time order.
        rating: (N,) on the half-star grid, 0.5 … 5.0.
        timestamp: (N,) unix seconds, not falling within a user.
        offsets: (U + 1,) the events of user u are offsets[u] … offsets[u + 1] - 1.
        user_ids: (U,) outside ids.
        split: (U,) codes of SPLIT_NAMES.
        movie_ids: (I,) outside ids.
        embeddings: (I, D), finite.
        frame: F, events in one observation.
        time_cut: unix seconds; later events are held out.
        provenance: digests of the inputs, kept as attributes.

    Returns: counts of users, items, events, transitions (in all and per split) and users too short to give any.

    Raises:
        DatasetError: the arrays do not make a dataset, or the file read back differs.
    """
    codes = np.rint((rating.astype(np.float64) - RATING_MIN) / RATING_STEP)
    _check(item, rating, codes, timestamp, offsets, user_ids, split, movie_ids, embeddings, frame)
    item_type = np.uint16 if len(movie_ids) <= 65_535 else np.int32
    with h5py.File(path, "w", libver=("v110", "v110"), track_order=False) as file:
        file.attrs.update({"format": FORMAT, "layout": "compact", "frame": frame, "time_cut": time_cut})
        file.attrs.update({f"provenance_{name}": digest for name, digest in sorted(provenance.items())})
        file.attrs["splits"] = ",".join(SPLIT_NAMES)
        _put(file, "events/item", item.astype(item_type), EVENT_CHUNK)
        coded = _put(file, "events/rating", codes.astype(np.uint8), EVENT_CHUNK)
        coded.attrs.update({"rating_min": RATING_MIN, "rating_step": RATING_STEP})
        _put(file, "events/timestamp", timestamp.astype(np.int64), EVENT_CHUNK)
        _put(file, "users/id", user_ids.astype(np.int64), EVENT_CHUNK)
        _put(file, "users/offset", offsets.astype(np.int64), EVENT_CHUNK)
        _put(file, "users/split", split.astype(np.uint8), EVENT_CHUNK)
        _put(file, "items/id", movie_ids.astype(np.int64), EVENT_CHUNK)
        rows = max(1, ITEM_CHUNK_BYTES // (4 * embeddings.shape[1]))
        _put(file, "items/embedding", embeddings.astype(np.float32), rows)
    per_user = np.maximum(np.diff(offsets) - frame, 0)
    return {
        "users": len(user_ids),
        "items": len(movie_ids),
        "events": len(item),
        "transitions": int(per_user.sum()),
        "transitions_by_user_split": {
            name: int(per_user[split == code].sum()) for code, name in enumerate(SPLIT_NAMES)
        },
        "users_without_transitions": int((per_user == 0).sum()),
        "size_bytes": path.stat().st_size,
    }


def _put(file: h5py.File, name: str, values: NDArray[Any], chunk_rows: int) -> h5py.Dataset:
    """One chunked, checksummed member, read back and compared."""
    chunks = (max(1, min(chunk_rows, len(values))), *values.shape[1:])
    member = file.create_dataset(name, data=values, chunks=chunks, fletcher32=True, track_times=False)
    if not np.array_equal(member[...], values):
        raise DatasetError(f"{name}: the values read back differ from those written; the disk cannot be trusted.")
    return member


def _check(
    item: NDArray[Any],
    rating: NDArray[Any],
    codes: NDArray[Any],
    timestamp: NDArray[Any],
    offsets: NDArray[Any],
    user_ids: NDArray[Any],
    split: NDArray[Any],
    movie_ids: NDArray[Any],
    embeddings: NDArray[Any],
    frame: int,
) -> None:
    events, users, items = len(item), len(user_ids), len(movie_ids)

    def need(good: bool, expected: str, found: object) -> None:
        if not good:
            raise DatasetError(
                f"transitions: expected {expected}; found {found}. The tables before this step are at fault: see their gates."
            )

    need(len(rating) == len(timestamp) == events, f"{events} ratings and timestamps", (len(rating), len(timestamp)))
    need(len(split) == users, f"{users} splits", len(split))
    need(
        len(offsets) == users + 1 and offsets[0] == 0 and offsets[-1] == events,
        "offsets that cover all events",
        offsets,
    )
    lengths = np.diff(offsets)
    need(bool((lengths >= 0).all()), "offsets that do not fall", lengths.min(initial=0))
    need(bool((lengths > frame).any()), f"a user with more than {frame} events", f"at most {lengths.max(initial=0)}")
    need(bool(((item >= 0) & (item < items)).all()), f"item indices below {items}", (item.min(), item.max()))
    on_grid = (codes >= 1) & (codes <= RATING_CODES) & (np.abs(rating - RATING_MIN - RATING_STEP * codes) < 1e-6)
    need(bool(on_grid.all()), "ratings 0.5, 1.0 … 5.0", rating[~on_grid][:3])
    falls = np.diff(timestamp) < 0
    falls[offsets[1:-1][(offsets[1:-1] > 0) & (offsets[1:-1] < events)] - 1] = False
    need(not falls.any(), "histories in time order", f"{int(falls.sum())} events earlier than the one before")
    need(embeddings.ndim == 2 and len(embeddings) == items, f"{items} embeddings", embeddings.shape)
    need(bool(np.isfinite(embeddings).all()), "finite embeddings", f"{int((~np.isfinite(embeddings)).sum())} others")
