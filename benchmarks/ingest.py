"""Claim: checked ingest, gate and export of a release shaped like ML-20M take seconds per million ratings, not minutes.

    python benchmarks/ingest.py [ratings, default 2,000,000]

Every measured step runs in this process, one after another; prints seconds, the ratio to `pandas.read_csv` and peak memory.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from expectations.profiles import profile_events
from storage.sources.movielens import read_ratings
from storage.splits import SplitParams, split_users, time_cut
from storage.transitions import TransitionDataset
from storage.transitions_writer import write_transitions

T = TypeVar("T")
MOVIES, DIM = 27_278, 128


def release(folder: Path, ratings: int) -> None:
    """A ratings.csv grouped by user, 144 ratings each on average, as ML-20M is."""
    rng = np.random.default_rng(0)
    users = max(3, ratings // 144)
    lengths = np.maximum(20, rng.lognormal(4.3, 1.1, users)).astype(int)
    lengths = np.maximum(1, (lengths * (ratings / lengths.sum())).astype(int))
    user = np.repeat(np.arange(1, users + 1), lengths)
    table = pa.table(
        {
            "userId": user,
            "movieId": (MOVIES * rng.random(len(user)) ** 3).astype(int) + 1,
            "rating": rng.integers(1, 11, len(user)) / 2,
            "timestamp": 800_000_000 + rng.integers(0, 6 * 10**8, users)[user - 1] + rng.integers(0, 10**6, len(user)),
        }
    )
    pacsv.write_csv(table, folder / "ratings.csv")


def main() -> None:
    """Measure and print."""
    ratings = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 2_000_000
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = work()
        seconds[name] = time.perf_counter() - began
        return result

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        release(folder, ratings)
        timed("pandas.read_csv alone", lambda: pd.read_csv(folder / "ratings.csv"))
        known = np.arange(1, MOVIES + 1)
        events, facts = timed("ingest: parse, check, sort", lambda: read_ratings(folder, known))
        timed("gate: profile per user", lambda: profile_events(events, known))
        user_ids, offsets = np.unique(events["user_id"].to_numpy(), return_index=True)
        params = SplitParams()
        split = timed("split users", lambda: split_users(user_ids, params))
        embeddings = np.random.default_rng(1).normal(size=(MOVIES, DIM)).astype(np.float32)
        written = timed(
            "export: check, write, read back",
            lambda: write_transitions(
                folder / "t.h5",
                item=events["movie_id"].to_numpy() - 1,
                rating=events["rating"].to_numpy(),
                timestamp=events["timestamp"].to_numpy(),
                offsets=np.r_[offsets, events.num_rows],
                user_ids=user_ids,
                split=split,
                movie_ids=known,
                embeddings=embeddings,
                frame=10,
                time_cut=time_cut(events["timestamp"].to_numpy(), params),
                provenance={},
            ),
        )
        data = timed("open the dataset", lambda: TransitionDataset.open(folder / "t.h5"))
        timed("list the training transitions", lambda: data.starts("train"))
    base = seconds["pandas.read_csv alone"]
    print(f"{facts['events']:,} events, {facts['users']:,} users, {written['transitions']:,} transitions")
    print(f"transitions.h5: {written['size_bytes'] / 1e6:.0f} MB")
    for step, spent in seconds.items():
        print(f"{step:34} {spent:7.2f} s   {spent / base:6.2f} × pandas")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MiB")


if __name__ == "__main__":
    main()
