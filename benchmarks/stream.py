"""Claim: shuffled batches of a compact file stream as fast as they come out of memory, of a dense file at least a quarter as fast.

    python benchmarks/stream.py [events, default 4,000,000] [dense rows, default 120,000]

Compares each layout, its file in the page cache, with data that is in memory already (compact: `TransitionDataset.gather`;
dense: torch's `index_select` of whole rows), in turn. Prints transitions per second (median) and the ratio. A dense row is 80 times as
large as what a compact transition adds to its file. Its stream reads
and checks one whole observation for each run of neighbouring rows, and derives the others. A learner uses 11,000 to 30,000
transitions per second.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import torch
from shaped import DIM, FRAME, conditions, write_dataset

from models.sampling import UniformSampler
from storage.dataset.compact_source import CompactSource
from storage.dataset.dense_source import DenseSource
from storage.dataset.dense_writer import export_dense
from storage.dataset.format import DENSE
from storage.dataset.gather import TransitionBatch, ring_of
from storage.dataset.reader import TransitionDataset
from storage.dataset.stream import TransitionStream

BATCH, ROUNDS = 4096, 5


def rate(batches: Callable[[], Iterator[object]], rows: int) -> float:
    """Transitions per second of one pass over `rows`."""
    began = time.perf_counter()
    for _ in batches():
        pass
    return rows / (time.perf_counter() - began)


def copied(source: TransitionBatch, rows: torch.Tensor, out: TransitionBatch) -> TransitionBatch:
    """Some rows of a large batch in memory, copied into a small one."""
    for member, into in zip(source, out, strict=True):
        torch.index_select(member, 0, rows, out=into)
    return out


def compare(name: str, memory: Callable[[], Iterator[object]], stream: TransitionStream) -> None:
    """Run both in turn and print."""
    rates: dict[str, list[float]] = {"in memory": [], "streamed": []}
    for turn in range(ROUNDS + 1):
        for kind, batches in (("in memory", memory), ("streamed", stream.__iter__)):
            # In memory only whole batches are drawn. The first pass warms up and is not counted.
            found = rate(batches, len(stream) if kind == "streamed" else len(stream) // BATCH * BATCH)
            if turn:
                rates[kind].append(found)
    medians = {kind: statistics.median(values) for kind, values in rates.items()}
    for kind, value in medians.items():
        print(f"{name + ', ' + kind:24} {value:12,.0f} transitions/s   {value / medians['in memory']:6.2f}")


def main() -> None:
    """Measure and print."""
    numbers = [int(given.replace(",", "")) for given in sys.argv[1:]]
    events, dense_rows = (*numbers, *(4_000_000, 120_000)[len(numbers) :])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder / "t.h5", events)
        data = TransitionDataset.open(folder / "t.h5")
        starts = data.starts("all")
        sampler, ring = UniformSampler(starts, BATCH, 0), data.ring(BATCH)
        print(f"{len(starts):,} transitions, batches of {BATCH}, D {DIM}, F {FRAME}, {conditions()}")
        compare(
            "compact",
            lambda: (data.gather(sampler.next(), next(ring)) for _ in range(len(starts) // BATCH)),
            TransitionStream(CompactSource(folder / "t.h5", "all"), BATCH),
        )
        write_dataset(folder / "few.h5", dense_rows)
        began = time.perf_counter()
        facts = export_dense(folder / "few.h5", folder / "dense.h5", splits=("all",))
        seconds = time.perf_counter() - began
        print(f"dense file: {facts['size_bytes'] / 1e9:.2f} GB, written and read back in {seconds:.1f} s")
        with h5py.File(folder / "dense.h5") as file:
            whole = TransitionBatch(*(torch.from_numpy(file[name][...]).float() for name in tuple(DENSE)[:5]))
        few, room = UniformSampler(torch.arange(facts["rows"]), BATCH, 0), ring_of(2, BATCH, FRAME, DIM, torch.float32)
        compare(
            "dense",
            lambda: (copied(whole, few.next(), next(room)) for _ in range(facts["rows"] // BATCH)),
            TransitionStream(DenseSource(folder / "dense.h5"), BATCH, buffer_rows=16_384),
        )


if __name__ == "__main__":
    main()
