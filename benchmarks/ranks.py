"""Claim: none; how many updates per second one and two ranks make together, and how much of the time they exchange numbers.

    python benchmarks/ranks.py [learner, …; default td3 and ranking]

Generated ratings (shaped.py) and default parameters. A batch is made and learnt from, as in training. Each rank has one
thread. One and two ranks run in turn, ROUNDS times, UPDATES updates each; the median is printed. The exchange is the time that
the first rank spends in the sums over ranks, the wait for the other rank included.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from shaped import conditions, write_dataset
from torch import distributed
from torch.multiprocessing.spawn import spawn

from models.learners.registry import LEARNERS
from models.ranks import shared_update
from models.sampling import UniformSampler
from storage.dataset.reader import TransitionDataset
from tasks.learning import make_learning

EVENTS, BATCH, UPDATES, ROUNDS = 400_000, 256, 20, 3


def train(rank: int, ranks: int, folder: Path, name: str) -> None:
    """Make updates as one rank; the first one writes the seconds of an update and of its exchange."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder / 'meet'}", rank=rank, world_size=ranks)
    data = TransitionDataset.open(folder / "t.h5")
    learning = make_learning(LEARNERS[name].config.model_validate({}), data, BATCH, "cosine", "cpu", 0)
    sampler = UniformSampler(data.starts("all"), learning.batch_size, 0)
    exchanged, add_up = 0.0, distributed.all_reduce

    def timed(*given: Any) -> None:
        nonlocal exchanged
        began = time.perf_counter()
        add_up(*given)
        exchanged += time.perf_counter() - began

    distributed.all_reduce = timed  # type: ignore[assignment]
    for turn in range(2):  # the first one warms up
        began, exchanged = time.perf_counter(), 0.0
        for _ in range(UPDATES if turn else 3):
            batch = learning.gather_in_turn(sampler.next())
            with shared_update():
                learning.learner.update(batch)
    if rank == 0:
        torch.save(torch.tensor([time.perf_counter() - began, exchanged]) / UPDATES, folder / "seconds.pt")
    distributed.barrier()
    distributed.destroy_process_group()


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder / "t.h5", EVENTS)
        print(f"{'learner':16} {'ranks':>5} {'updates/s':>9} {'ms':>7} {'exchange ms':>11}   {conditions()}")
        for learner in sys.argv[1:] or ("td3", "ranking"):
            taken: dict[int, list[list[float]]] = {1: [], 2: []}
            for _ in range(ROUNDS):
                for ranks, found in taken.items():
                    (folder / "meet").unlink(missing_ok=True)
                    spawn(train, (ranks, folder, learner), nprocs=ranks)
                    found.append(torch.load(folder / "seconds.pt", weights_only=True).tolist())
            for ranks, found in taken.items():
                whole, exchange = (statistics.median(column) for column in zip(*found, strict=True))
                print(f"{learner:16} {ranks:5} {1 / whole:9.1f} {1e3 * whole:7.1f} {1e3 * exchange:11.1f}", flush=True)
        print(f"load {conditions().split()[-1]} at the end")


if __name__ == "__main__":
    main()
