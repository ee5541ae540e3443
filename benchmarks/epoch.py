"""Claim: the time of an epoch grows at most in proportion to the number of transitions, from 1 to 18.6 million.

    python benchmarks/epoch.py [updates of a round, default 5] [rounds, default 3]

For every size, a dataset is written and opened, and TD3 is updated a fixed number of times with batches of 4,096 drawn from
all transitions. The time of an epoch (transitions / 4,096 updates) is extrapolated. The sizes take turns in each round.
Prints medians: seconds to open a dataset and list its starts, microseconds per transition to gather and to gather and
update, and seconds per epoch.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from shaped import DIM, FRAME, conditions, write_dataset

from models.batch import Batch
from models.learners.registry import make_learner
from models.learners.td3 import TD3Config
from models.sampling import UniformSampler
from models.space import Space
from storage.dataset.reader import TransitionDataset

SIZES, BATCH = (1_000_000, 4_600_000, 9_300_000, 18_600_000), 4096
GATHERS = 20  # gathers per update, because a gather is much faster than an update


def opened(folder: Path, size: int) -> tuple[TransitionDataset, torch.Tensor, float]:
    """A dataset of about `size` transitions, its starts, and the seconds to open it."""
    path = folder / f"{size}.h5"
    write_dataset(path, round(size * 144 / 134))
    began = time.perf_counter()
    data = TransitionDataset.open(path)
    starts = data.starts("all")
    return data, starts, time.perf_counter() - began


def seconds(work: Callable[[], object], times: int) -> float:
    """Mean wall time of a call, in seconds, over `times` calls."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def loops(data: TransitionDataset, starts: torch.Tensor) -> tuple[Callable[[], Batch], Callable[[], object]]:
    """Two functions: gather a batch; gather a batch and update the learner with it."""
    sampler, ring = UniformSampler(starts, BATCH, seed=0), data.ring(BATCH)
    learner = make_learner(TD3Config(), Space.of(data.embedding, FRAME, data.reward_bounds), "cpu", seed=0)

    def gather() -> Batch:
        return Batch(*data.gather(sampler.next(), next(ring)))

    return gather, lambda: learner.update(gather())


def main() -> None:
    """Measure and print."""
    updates, rounds = (int(sys.argv[n + 1]) if len(sys.argv) > n + 1 else (5, 3)[n] for n in range(2))
    with tempfile.TemporaryDirectory(prefix="marquee-bench-") as folder:
        sizes = [opened(Path(folder), size) for size in SIZES]
    ways = [loops(data, starts) for data, starts, _ in sizes]
    taken: list[list[tuple[float, float]]] = [[] for _ in sizes]
    for turn in range(rounds + 1):
        for place, (gather, learn) in enumerate(ways):
            spent = seconds(gather, updates * GATHERS), seconds(learn, updates)
            if turn:  # the first round warms up
                taken[place].append(spent)
    print(f"TD3, batches of {BATCH}, D {DIM}, F {FRAME}, {torch.get_num_threads()} threads, {conditions()}, medians")
    print(
        f"{'transitions':>12} {'open, s':>8} {'gather, µs':>11} {'and update, µs':>14} {'epoch, s':>12} {'per million':>12}"
    )
    for (data, _, open_s), pairs in zip(sizes, taken, strict=True):
        gather_s, learn_s = (statistics.median(column) / BATCH for column in zip(*pairs, strict=True))
        epoch_s = learn_s * len(data)
        print(
            f"{len(data):12,} {open_s:8.2f} {gather_s * 1e6:11.2f} {learn_s * 1e6:14.2f} {epoch_s:12.1f} "
            f"{epoch_s / len(data) * 1e6:12.2f}"
        )
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MiB with all datasets in memory")


if __name__ == "__main__":
    main()
