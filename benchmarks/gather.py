"""Claim: gathering float32 batches from compact arrays beats materialising them transition by transition.

Prints transitions per second of both and their ratio, medians of several rounds in one process.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from storage.transitions import TransitionDataset
from storage.transitions_writer import write_transitions

USERS, EVENTS, ITEMS, DIM, FRAME, BATCH, ROUNDS = 2000, 100, 5000, 128, 10, 4096, 7


def plain(data: TransitionDataset, starts: list[int]) -> tuple[torch.Tensor, ...]:
    """One transition at a time, as a Dataset of single samples does it."""
    rows = []
    for start in starts:
        window = slice(start, start + data.frame + 1)
        embedded, reward = data.embedding[data.item[window].long()], data.reward[window]
        now = torch.cat((embedded[:-1].flatten(), reward[:-1]))
        then = torch.cat((embedded[1:].flatten(), reward[1:]))
        last = start + data.frame + 1 == int(data.offset[data.user[start] + 1])
        rows.append((now, embedded[-1], reward[-1], then, torch.tensor(float(last))))
    return tuple(torch.stack(column) for column in zip(*rows, strict=True))


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        write_transitions(
            Path(folder) / "t.h5",
            item=rng.integers(0, ITEMS, USERS * EVENTS),
            rating=(rng.integers(1, 11, USERS * EVENTS) / 2).astype(np.float32),
            timestamp=np.tile(np.arange(EVENTS), USERS),
            offsets=np.arange(USERS + 1) * EVENTS,
            user_ids=np.arange(USERS),
            split=(np.arange(USERS) % 3).astype(np.uint8),
            movie_ids=np.arange(ITEMS),
            embeddings=rng.normal(size=(ITEMS, DIM)).astype(np.float32),
            frame=FRAME,
            time_cut=EVENTS,
            provenance={},
        )
        data = TransitionDataset.open(Path(folder) / "t.h5")
    starts = data.starts("all")
    speeds: dict[str, list[float]] = {"gather": [], "one by one": []}
    for _ in range(ROUNDS):
        batch = starts[torch.randint(len(starts), (BATCH,))]
        for name, work in (("gather", data.gather), ("one by one", lambda b: plain(data, b.tolist()))):
            began = time.perf_counter()
            work(batch)
            speeds[name].append(BATCH / (time.perf_counter() - began))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    for name, value in medians.items():
        print(
            f"{name}: {value:,.0f} transitions/s (batch {BATCH}, D {DIM}, F {FRAME}, {torch.get_num_threads()} threads)"
        )
    print(f"ratio: {medians['gather'] / medians['one by one']:.1f}")


if __name__ == "__main__":
    main()
