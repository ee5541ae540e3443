"""Claim: publishing and pulling an artifact take at most 6 times as long as a plain copy of its bytes.

    python benchmarks/publishing.py [MB, default 1,000]

The artifact is one file of random bytes; both stores are folders on one disk. A plain copy is `shutil.copyfile` and an fsync.
Publishing verifies the bytes on this machine and those in the store; pulling verifies what was received. Prints seconds
(median of the rounds, which alternate) and the ratio to the copy.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from shaped import conditions

from storage.artifacts.manifest import Recipe
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish, pull
from storage.artifacts.store import ArtifactStore
from storage.files import fsync_path

ROUNDS = 5
RECIPE = Recipe(kind="dataset", schema_version=1, parameters={}, inputs={}, code="benchmark")


def seconds(work: Callable[[], object]) -> float:
    """How long some work takes, once what was written before is on the disk."""
    os.sync()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    megabytes = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 1_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = ArtifactStore(folder / "own")
        with own.create(RECIPE) as draft, (draft.path / "transitions.h5").open("wb") as file:
            rng = np.random.default_rng(0)
            for _ in range(megabytes):
                file.write(rng.bytes(1_000_000))
        ref = draft.committed
        source, to, pulled = own.open(ref) / "transitions.h5", folder / "published", folder / "pulled"
        store = open_store(str(to))

        def copy() -> None:
            shutil.copyfile(source, folder / "copy")
            fsync_path(folder / "copy")

        ways: dict[str, Callable[[], object]] = {
            "plain copy": copy,
            "publish": lambda: publish(store, own, ref),
            "publish again": lambda: publish(store, own, ref),
            "pull": lambda: pull(store, f"dataset@{ref.digest}", pulled),
            "pull again": lambda: pull(store, f"dataset@{ref.digest}", pulled),
        }
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for turn in range(ROUNDS + 1):
            for way, work in ways.items():
                found = seconds(work)
                if turn:  # the first round warms up
                    taken[way].append(found)
            for made in (to, pulled):
                shutil.rmtree(made)
    print(f"one file of {megabytes:,} MB, {conditions()}")
    plain = statistics.median(taken["plain copy"])
    for way, values in taken.items():
        middle = statistics.median(values)
        print(f"{way:16} {middle:7.2f} s   {middle / plain:6.2f}")


if __name__ == "__main__":
    main()
