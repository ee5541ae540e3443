"""Claim: one policy is evaluated on ML-20M's shape, 138,493 users × 27,278 items, within 60 s on two cores.

    python benchmarks/evaluating.py [users, default 138,493] [most seconds, default 60] [method …, default policy ease]

One next-item case per user over the full catalogue, seen items masked: ranks and the best 100 of each, then all accuracy
metrics per user, intra-list diversity, novelty, coverage, Gini, bootstrap intervals, popularity bias, the rows of
rankings.parquet, and the paired test against another method that differs for every user. `policy` is an actor that ranks by
cosine over D = 128; `ease` a random item-to-item matrix of the 8,000 most frequent items, with the last 10 events of each history.
Events are random, so the metrics themselves mean nothing.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from shaped import DIM, EVENTS_PER_USER, FRAME, MOVIES, conditions, write_dataset

from evaluation.protocols.beyond_accuracy import ItemFacts
from evaluation.protocols.cases import Cases, next_item_cases
from evaluation.protocols.ranking import Ranked, rank_cases, rankings_table
from evaluation.report.sections.methods.comparisons import compare_methods
from evaluation.report.sections.methods.numbers import evaluate_method
from evaluation.report.sections.popularity.numbers import (
    PopularityView,
    audience_of,
    measure_popularity,
    method_popularity,
)
from models.baselines.item_to_item import ItemToItem
from models.baselines.recency import Recency
from models.histories import Scorer
from models.networks import Actor
from models.policy import Policy
from storage.dataset.reader import TransitionDataset
from tasks.evaluate import Rankings

Result = TypeVar("Result")
USERS, SECONDS, FREQUENT = 138_493, 60.0, 8000


def policy(data: TransitionDataset) -> Scorer:
    """An untrained actor."""
    return Policy(Actor(FRAME * DIM + FRAME, DIM, 256, 1.0), data.embedding, "cosine")


def ease(data: TransitionDataset) -> Scorer:
    """A random item-to-item matrix, as EASE has."""
    return ItemToItem(torch.randn(FREQUENT, FREQUENT), torch.arange(FREQUENT), MOVIES, Recency(last=10))


METHODS: dict[str, Callable[[TransitionDataset], Scorer]] = {"policy": policy, "ease": ease}


def peak_mib() -> float:
    """The peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


class Clock:
    """Wall and CPU seconds of named steps, in their order."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float]] = []

    def time(self, step: str, work: Callable[[], Result]) -> Result:
        """Do a step and record its time."""
        began = time.perf_counter(), time.process_time()
        result = work()
        self.rows.append((step, time.perf_counter() - began[0], time.process_time() - began[1]))
        return result


def popularity(data: TransitionDataset, items: ItemFacts, cases: Cases, ranked: Ranked, name: str) -> PopularityView:
    """The popularity view of one method."""
    readers = audience_of(data, items, cases)
    one = method_popularity(items, readers, ranked, name=name, kind="policy")
    return measure_popularity(data, items, cases, readers, [one])


def evaluate(data: TransitionDataset, name: str, most: float) -> bool:
    """Evaluate one method and print its costs; whether it took at most `most` seconds."""
    clock = Clock()
    cases = next_item_cases(data, "all", 1)
    scorer = METHODS[name](data)
    before = peak_mib()
    items = clock.time("training counts", lambda: ItemFacts.of(data))
    ranked = clock.time("rank, best 100", lambda: rank_cases(data, scorer, cases))
    evaluated = clock.time(
        "all metrics, intervals",
        lambda: evaluate_method(items, ranked, cases, name, "policy"),
    )
    clock.time("popularity bias", lambda: popularity(data, items, cases, ranked, name))
    with tempfile.TemporaryDirectory() as folder, Rankings(Path(folder) / "rankings.parquet") as rankings:
        clock.time("rankings.parquet", lambda: rankings.keep(rankings_table(data, cases, ranked, name)))
    other = replace(
        evaluated, per_user=replace(evaluated.per_user, values=torch.rand(evaluated.per_user.values.shape).numpy())
    )
    clock.time("a paired comparison", lambda: compare_methods(evaluated, [other]))
    wall, cpu = (sum(column) for column in list(zip(*clock.rows, strict=True))[1:])
    print(f"{name}: {len(cases):,} users × {data.items:,} items, {len(evaluated.result.metrics)} metrics")
    for step, seconds, busy in (*clock.rows, ("all", wall, cpu)):
        print(f"  {step:24} {seconds:7.2f} s {busy:8.2f} CPU s")
    print(f"  {peak_mib() - before:,.0f} MiB beside dataset and method; {len(cases) / clock.rows[1][1]:,.0f} lists/s")
    print(f"  {'within' if wall <= most else 'NOT within'} {most:.0f} s")
    return bool(wall <= most)


def main() -> None:
    """Measure and print; exit code 1 if a method took too long."""
    users = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else USERS
    most = float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    print(f"{torch.get_num_threads()} threads, {conditions()}")
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "t.h5", users * EVENTS_PER_USER)
        data = TransitionDataset.open(Path(folder) / "t.h5")
        good = [evaluate(data, name, most) for name in sys.argv[3:] or METHODS]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
