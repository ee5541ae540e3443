"""Claim: CSV → validated events → compact HDF5 at ML-20M's size is at least 15 times the pandas way, with gates 6 times.

    python benchmarks/ingest.py [ratings, default 20,000,263] [rounds, default 5]

Every way runs in a process of its own, from its start to its end; the pandas way runs once, the others several times, in
turn. Prints medians of wall time and of CPU time, their ratios to the pandas way, and the peak memory.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from measure import Measured, measured
from shape import RATINGS, write_movies, write_ratings

WAYS = Path(__file__).with_name("ways.py")
NAMES = {
    "pandas": "pandas way (no checks)",
    "dataset": "CSV → validated events → HDF5",
    "gates": "the same with both gates",
}


def main() -> None:
    """Measure and print."""
    ratings = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else RATINGS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory(prefix="marquee-bench-") as name:
        folder = Path(name)
        write_movies(folder, write_ratings(folder / "ratings.csv", ratings), tags=0)
        runs: dict[str, list[Measured]] = {way: [] for way in NAMES}
        for place in range(rounds):
            for way, measurements in runs.items():
                if way != "pandas" or place == 0:
                    measurements.append(measured(WAYS, way, str(folder), str(folder / f"{way}.h5")))
    print(f"{ratings:,} ratings; {runs['gates'][0].output}; medians of {rounds} processes, the pandas way once")
    print(f"{'way':32} {'seconds':>8} {'range':>13} {'ratio':>7} {'CPU s':>7} {'ratio':>7} {'peak MiB':>9}")
    base = runs["pandas"][0]
    for way, measurements in runs.items():
        seconds = [one.seconds for one in measurements]
        median, cpu = statistics.median(seconds), statistics.median(one.cpu_seconds for one in measurements)
        spread = f"{min(seconds):.2f}-{max(seconds):.2f}"
        ratios = f"{base.seconds / median:6.1f}×", f"{base.cpu_seconds / cpu:6.1f}×"
        peak = max(one.peak_mib for one in measurements)
        print(f"{NAMES[way]:32} {median:8.2f} {spread:>13} {ratios[0]} {cpu:7.2f} {ratios[1]} {peak:9,.0f}")


if __name__ == "__main__":
    main()
