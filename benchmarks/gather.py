"""Claim: batches gathered from compact arrays come 10 times as fast as from torch's default DataLoader.

    python benchmarks/gather.py [events, default 2,000,000]

Prints transitions per second (median of several rounds), the ratio to the better of the two default loaders, and peak memory.
TD3 on two CPU cores uses 11,000 to 30,000 transitions per second (benchmarks/training.py), so more speed here gains little.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from shaped import DIM, FRAME, conditions, write_dataset
from torch.utils.data import DataLoader, Dataset, RandomSampler

from models.sampling import UniformSampler
from storage.dataset.reader import TransitionDataset

BATCH, BATCHES, ROUNDS = 4096, 150, 7
Loader = Callable[[], Iterator[object]]


class OneByOne(Dataset[tuple[torch.Tensor, ...]]):
    """Map-style: one transition at a time, as torch's tutorials do it."""

    def __init__(self, data: TransitionDataset) -> None:
        self.item, self.embedding, self.frame = data.item, data.embedding, data.frame
        self.reward = data.reward_of_code[data.rating_code.int()]
        self.starts = data.starts("all")
        self.last = torch.zeros(len(data.item), dtype=torch.bool)
        self.last[data.offset[1:] - 1] = True

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        start = int(self.starts[index])
        window = slice(start, start + self.frame + 1)
        embedded, reward = self.embedding[self.item[window]], self.reward[window]
        now = torch.cat((embedded[:-1].flatten(), reward[:-1]))
        then = torch.cat((embedded[1:].flatten(), reward[1:]))
        return now, embedded[-1], reward[-1], then, self.last[start + self.frame].float()


def default_loader(data: TransitionDataset, workers: int, batches: int) -> Loader:
    """Torch's default loader: sampler, workers, default collation."""
    dataset = OneByOne(data)
    sampler = RandomSampler(dataset, replacement=True, num_samples=BATCH * batches)
    return lambda: iter(DataLoader(dataset, BATCH, sampler=sampler, num_workers=workers))


def gathered(data: TransitionDataset, dtype: torch.dtype = torch.float32) -> Loader:
    """Our loader, as training uses it: seeded sampler, reused buffers."""
    sampler = UniformSampler(data.starts("all"), BATCH, seed=0)
    ring = data.ring(BATCH, dtype=dtype)
    return lambda: (data.gather(sampler.next(), next(ring)) for _ in range(BATCHES))


def rate(loader: Loader) -> float:
    """Transitions per second of one pass."""
    began = time.perf_counter()
    count = sum(1 for _ in loader())
    return count * BATCH / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    events = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 2_000_000
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "t.h5", events)
        data = TransitionDataset.open(Path(folder) / "t.h5")
    ways = {
        "DataLoader, 0 workers": (default_loader(data, 0, 4), 3),
        "DataLoader, 2 workers": (default_loader(data, 2, 8), 3),
        "gather": (gathered(data), ROUNDS),
        "gather, bfloat16": (gathered(data, torch.bfloat16), ROUNDS),
    }
    medians = {}
    for name, (loader, rounds) in ways.items():
        rate(loader)
        medians[name] = statistics.median(rate(loader) for _ in range(rounds))
    base = max(medians["DataLoader, 0 workers"], medians["DataLoader, 2 workers"])
    print(
        f"{len(data):,} transitions, batches of {BATCH}, D {DIM}, F {FRAME}, {torch.get_num_threads()} threads, {conditions()}"
    )
    for name, value in medians.items():
        print(f"{name:24} {value:12,.0f} transitions/s   {value / base:6.1f} × the better DataLoader")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MiB")


if __name__ == "__main__":
    main()
