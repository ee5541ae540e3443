"""Claim: the exact top 10 of 27 thousand items come at least 15 times as fast as by scipy's cdist and a sort.

    python benchmarks/ranking.py [users, default 138,493] [rounds, default 3]

Vectors are normal, D = 128, cosine. The baseline, distances of all pairs by scipy's cdist and a numpy argsort, ranks a sample
of users in turn with ours; its time for all users is that of the sample, scaled. Recall is against the float64 baseline.
Then `rank_cases`, which does that for evaluations, of a policy on a dataset of ML-20M's shape: one step of each user, states,
actions, seen items masked, the target's full rank and the ten best; its ratio is against the same baseline.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from shaped import DIM, EVENTS_PER_USER, FRAME, MOVIES, conditions, write_dataset

from evaluation.protocols.cases import next_item_cases
from evaluation.protocols.ranking import BATCH, rank_cases
from models.nearest import NearestItems, top_items
from models.networks import Actor
from models.policy import Policy
from storage.dataset.reader import TransitionDataset

USERS, SAMPLE, K = 138_493, 500, 10


def baseline(actions: NDArray[np.float32], items: NDArray[np.float32]) -> NDArray[np.int64]:
    """Distances of all pairs, sorted."""
    return np.argsort(cdist(actions, items, "cosine"), axis=1)[:, :K]


def nearest_items(nearest: NearestItems, actions: torch.Tensor) -> torch.Tensor:
    """The best items, block by block as in `rank_cases`."""
    room = torch.empty(BATCH, len(nearest.vectors))
    return torch.cat([top_items(nearest.scores(part, room[: len(part)]), K) for part in actions.split(BATCH)])


def seconds(work: Callable[[], object], scale: float = 1.0) -> tuple[float, float]:
    """Wall and CPU time of one call, scaled."""
    began = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - began[0]) * scale, (time.process_time() - began[1]) * scale


def peak_mib() -> float:
    """The peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def vectors(users: int, rounds: int) -> float:
    """Time the nearest items of vectors; returns the baseline's seconds."""
    generator = torch.Generator().manual_seed(0)
    items, actions = (torch.randn(rows, DIM, generator=generator) for rows in (MOVIES, users))
    sample = actions[:SAMPLE].numpy(), items.numpy()
    nearest = NearestItems(items, "cosine")
    ways: dict[str, tuple[Callable[[], object], float]] = {
        "cdist + sort": (lambda: baseline(*sample), users / SAMPLE),
        "cdist + argpartition": (lambda: np.argpartition(cdist(*sample, "cosine"), K, axis=1), users / SAMPLE),
        "nearest": (lambda: nearest_items(nearest, actions), 1.0),
    }
    before = peak_mib()
    found = nearest_items(nearest, actions)[:SAMPLE].numpy()
    ours_mib = peak_mib() - before
    wanted = baseline(*sample)
    taken = {name: [] for name in ways}  # type: dict[str, list[tuple[float, float]]]
    for _ in range(rounds):
        for name, (work, scale) in ways.items():
            taken[name].append(seconds(work, scale))
    recall = np.mean([len(set(ours) & set(theirs)) / K for ours, theirs in zip(found, wanted, strict=True)])
    print(f"{users:,} users × {MOVIES:,} items, D {DIM}, top {K}; the baselines on {SAMPLE} users, scaled")
    print(f"{'way':22} {'seconds':>9} {'range':>17} {'ratio':>8} {'CPU s':>9} {'ratio':>8}")
    medians: dict[str, list[float]] = {
        name: [statistics.median(column) for column in zip(*pairs, strict=True)] for name, pairs in taken.items()
    }
    base_wall, base_cpu = medians["cdist + sort"]
    for name, (wall, cpu) in medians.items():
        walls = [pair[0] for pair in taken[name]]
        spread = f"{min(walls):.2f}-{max(walls):.2f}"
        print(f"{name:22} {wall:9.2f} {spread:>17} {base_wall / wall:7.1f}× {cpu:9.2f} {base_cpu / cpu:7.1f}×")
    print(f"recall@{K} against the baseline {recall:.5f}; ours needed {ours_mib:,.0f} MiB beside its vectors")
    return base_wall


def steps(users: int, rounds: int, baseline_seconds: float) -> None:
    """Time the ranking of one policy's cases."""
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "t.h5", users * EVENTS_PER_USER)
        data = TransitionDataset.open(Path(folder) / "t.h5")
    cases = next_item_cases(data, "all", 1)
    before = peak_mib()
    policy = Policy(Actor(FRAME * DIM + FRAME, DIM, 256, 1.0), data.embedding, "cosine")
    taken = [seconds(lambda: rank_cases(data, policy, cases, K)) for _ in range(rounds)]
    wall, cpu = (statistics.median(column) for column in zip(*taken, strict=True))
    print(
        f"rank_cases: {len(cases):,} cases of as many users, {len(data.item):,} events: {wall:.1f} s "
        f"({baseline_seconds / wall:.1f}×), CPU {cpu:.1f} s, "
        f"{peak_mib() - before:,.0f} MiB beside the dataset"
    )


def main() -> None:
    """Measure and print."""
    users = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else USERS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    print(f"{torch.get_num_threads()} threads, {conditions()}, medians")
    steps(users, rounds, baseline_seconds=vectors(users, rounds))


if __name__ == "__main__":
    main()
