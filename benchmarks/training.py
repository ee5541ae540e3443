"""Claim: loading and training with batches of 4,096 is at least 2.5 times as fast as torch's DataLoader with RecNN's update.

    python benchmarks/training.py [events, default 2,000,000] [updates of a round, default 6] [rounds, default 5]

The baseline is a DataLoader with default settings, which draws one transition at a time, and the update of recnn.py. It is
also measured with two workers, which load while the update runs. Our loop is that of `models.trainer`: a seeded sampler,
a gather into reused buffers, and the learner. All take turns in each round. The start of a DataLoader is not measured.
Prints medians. The last row is the update without loading, an upper bound for every loader.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from gather import BATCH, default_loader
from recnn import RecNN
from shaped import DIM, FRAME, conditions, write_dataset

from models.batch import Batch
from models.learners.registry import make_learner
from models.learners.td3 import TD3Config
from models.sampling import UniformSampler
from models.space import Space
from storage.dataset.reader import TransitionDataset

OBSERVATION, DELAY = FRAME * DIM + FRAME, 2


def ways(data: TransitionDataset, batches: int) -> dict[str, tuple[Iterator[Batch], Callable[[Batch], object]]]:
    """By name, an iterator of batches and the update that is called with each."""

    def recnn() -> Callable[[Batch], object]:
        return RecNN(OBSERVATION, DIM, 256, DELAY).update

    def ours() -> Iterator[Batch]:
        sampler, ring = UniformSampler(data.starts("all"), BATCH, seed=0), data.ring(BATCH)
        while True:
            yield Batch(*data.gather(sampler.next(), next(ring)))

    learner = make_learner(
        TD3Config(policy_delay=DELAY), Space.of(data.embedding, FRAME, data.reward_bounds), "cpu", seed=0
    )
    same = next(ours())
    return {
        "DataLoader + RecNN": (loaded(data, 0, batches), recnn()),
        "DataLoader, 2 workers + RecNN": (loaded(data, 2, batches), recnn()),
        "gather + TD3": (ours(), learner.update),
        "TD3 alone": (iter(lambda: same, None), learner.update),
    }


def loaded(data: TransitionDataset, workers: int, batches: int) -> Iterator[Batch]:
    """The batches of torch's DataLoader with `workers` workers."""
    for batch in default_loader(data, workers, batches)():
        yield Batch(*batch)  # type: ignore[misc]


def main() -> None:
    """Measure and print."""
    events = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 2_000_000
    updates, rounds = (int(sys.argv[n + 2]) if len(sys.argv) > n + 2 else (6, 5)[n] for n in range(2))
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "t.h5", events)
        data = TransitionDataset.open(Path(folder) / "t.h5")
    compared = ways(data, updates * rounds + 2)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in compared}
    for batches, update in compared.values():
        for _ in range(2):
            update(next(batches))
    for _ in range(rounds):
        for name, (batches, update) in compared.items():
            began = time.perf_counter(), time.process_time()
            for _ in range(updates):
                update(next(batches))
            taken[name].append(((time.perf_counter() - began[0]) / updates, (time.process_time() - began[1]) / updates))
    medians = {
        name: [statistics.median(column) for column in zip(*pairs, strict=True)] for name, pairs in taken.items()
    }
    print(f"{len(data):,} transitions, batches of {BATCH}, {torch.get_num_threads()} threads, {conditions()}, medians")
    print(f"{'way':30} {'transitions/s':>13} {'ms':>7} {'range':>11} {'ratio':>7} {'CPU ms':>7}")
    for name, (wall, cpu) in medians.items():
        walls = [pair[0] * 1e3 for pair in taken[name]]
        spread = f"{min(walls):.0f}-{max(walls):.0f}"
        ratio = medians["DataLoader + RecNN"][0] / wall
        print(f"{name:30} {BATCH / wall:13,.0f} {wall * 1e3:7.0f} {spread:>11} {ratio:6.2f}× {cpu * 1e3:7.0f}")
    print(
        f"CPU time of this process, without DataLoader workers; peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MiB"
    )


if __name__ == "__main__":
    main()
