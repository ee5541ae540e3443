"""Small histories for tests of the transition dataset."""

from pathlib import Path
from typing import Any

import numpy as np

from storage.dataset.histories import UserHistories
from storage.dataset.reader import TransitionDataset
from storage.dataset.scale import RatingScale
from storage.dataset.writer import write_transitions


def some_histories(lengths: list[int], seed: int = 0, items: int = 20, codes: int = 10) -> UserHistories:
    rng = np.random.default_rng(seed)
    events = sum(lengths)
    times = [np.sort(rng.integers(0, 1000, n)) for n in lengths]
    return UserHistories(
        user_id=np.arange(len(lengths)) + 100,
        length=np.array(lengths, dtype=np.int64),
        item=rng.integers(0, items, events).astype(np.int32),
        code=rng.integers(1, codes + 1, events).astype(np.uint8),
        timestamp=np.concatenate([np.zeros(0, np.int64), *times]).astype(np.int64),
    )


def arguments(
    histories: UserHistories, items: int = 20, dim: int = 4, scale: RatingScale | None = None
) -> dict[str, Any]:
    """All that `write_transitions` needs beside path and histories."""
    return {
        "user_ids": histories.user_id,
        "split": (np.arange(len(histories.user_id)) % 3).astype(np.uint8),
        "movie_ids": np.arange(items) * 7,
        "embeddings": np.random.default_rng(9).normal(size=(items, dim)).astype(np.float32),
        "scale": scale or RatingScale(),
        "frame": 3,
        "time_cut": 900,
        "provenance": {"events": "e", "items": "i"},
    }


def written(folder: Path, lengths: list[int], seed: int = 0, **more: Any) -> TransitionDataset:
    histories = some_histories(lengths, seed)
    write_transitions(folder / "t.h5", [histories], **(arguments(histories) | more))
    return TransitionDataset.open(folder / "t.h5")


def cut(histories: UserHistories, places: list[int]) -> list[UserHistories]:
    """The same users in blocks that end at the given user rows."""
    ends = np.cumsum(histories.length)
    blocks = []
    for begin, end in zip([0, *places], [*places, len(ends)], strict=True):
        first, last = (int(ends[at - 1]) if at else 0 for at in (begin, end))
        blocks.append(
            UserHistories(
                histories.user_id[begin:end], histories.length[begin:end], *(c[first:last] for c in histories[2:])
            )
        )
    return blocks
