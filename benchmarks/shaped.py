"""Write a generated dataset with the shape of ML-20M and any number of events, for the benchmarks of loading and training."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from storage.dataset.histories import UserHistories
from storage.dataset.scale import RatingScale
from storage.dataset.writer import write_transitions

MOVIES, DIM, FRAME, EVENTS_PER_USER = 27_278, 128, 10, 144


def write_dataset(path: Path, events: int, seed: int = 0) -> None:
    """Write about `events` events with skewed activity and popularity; 70 % of the users are training users."""
    rng = np.random.default_rng(seed)
    users = max(3, events // EVENTS_PER_USER)
    lengths = np.maximum(20, rng.lognormal(4.3, 1.1, users))
    lengths = np.maximum(20, lengths * (events / lengths.sum())).astype(np.int64)

    def blocks() -> Iterator[UserHistories]:
        for part in np.array_split(np.arange(users), max(1, events // 500_000)):
            length = lengths[part]
            size = int(length.sum())
            first = np.repeat(rng.integers(800_000_000, 1_400_000_000, len(part)) - np.cumsum(length) + length, length)
            yield UserHistories(
                user_id=part + 1,
                length=length,
                item=(MOVIES * rng.random(size) ** 3).astype(np.int32),
                code=rng.integers(1, 11, size, dtype=np.uint8),
                timestamp=first + np.arange(size),
            )

    write_transitions(
        path,
        blocks(),
        user_ids=np.arange(1, users + 1),
        split=rng.choice(3, users, p=(0.7, 0.1, 0.2)).astype(np.uint8),
        movie_ids=np.arange(MOVIES),
        embeddings=rng.normal(size=(MOVIES, DIM)).astype(np.float32),
        scale=RatingScale(),
        frame=FRAME,
        time_cut=int(13.4e8),
        provenance={},
    )


def conditions() -> str:
    """The machine's CPUs, their instruction set, and the load average."""
    kind = torch.backends.cpu.get_cpu_capability()
    return f"{os.cpu_count()} CPUs ({kind}), load {os.getloadavg()[0]:.1f}"
