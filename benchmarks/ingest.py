"""Claim: CSV → validated events → compact HDF5 at ML-20M's size is at least 8 times the pandas way, in at most 0.6 GB.

    python benchmarks/ingest.py [ratings, default 20,000,263] [rounds, default 5]

Every way runs in its own process, from start to end; the pandas way runs once, the others several times, in turn. Prints
medians of wall time and CPU time, their ratios to the pandas way, and the peak memory. There is no claim for the way with both
gates: on two cores importing Great Expectations takes longer than making the dataset. The last line says what two bad lines
cost in a file of a quarter of the ratings (5 million by default; claim: at most 1.5 seconds).
"""

import statistics
import sys
import tempfile
from pathlib import Path

from measure import Measured, measured

HERE = Path(__file__).parent
RATINGS = 20_000_263
NAMES = {
    "pandas": "pandas way (no checks)",
    "dataset": "CSV → validated events → HDF5",
    "gates": "the same with both gates",
}
BAD_LINES = (b"1,2,3.0\n", b"1,2,5.5,1000000000\n")  # a field is missing; a rating off the scale


def main() -> None:
    """Measure and print."""
    ratings = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else RATINGS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory(prefix="marquee-bench-") as name:
        folder = Path(name)
        compare_ways(folder, ratings, rounds)
        cost_of_bad_lines(folder / "bad", ratings // 4, rounds)


def compare_ways(folder: Path, ratings: int, rounds: int) -> None:
    """Print the time and memory of each way."""
    # A child process counts its parent's memory as its own peak: the parent must stay small.
    measured(HERE / "shape.py", str(folder), str(ratings))
    runs: dict[str, list[Measured]] = {way: [] for way in NAMES}
    for place in range(rounds):
        for way, measurements in runs.items():
            if way != "pandas" or place == 0:
                measurements.append(measured(HERE / "ways.py", way, str(folder), str(folder / f"{way}.h5")))
    print(f"{ratings:,} ratings; {runs['gates'][0].output}; medians of {rounds} processes, the pandas way once")
    print(f"{'way':32} {'seconds':>8} {'range':>13} {'ratio':>7} {'CPU s':>7} {'ratio':>7} {'peak MiB':>9}")
    base = runs["pandas"][0]
    for way, measurements in runs.items():
        seconds = [one.seconds for one in measurements]
        median, cpu = statistics.median(seconds), statistics.median(one.cpu_seconds for one in measurements)
        spread = f"{min(seconds):.2f}-{max(seconds):.2f}"
        ratios = f"{base.seconds / median:6.1f}×", f"{base.cpu_seconds / cpu:6.1f}×"
        peak = max(one.peak_mib for one in measurements)
        print(f"{NAMES[way]:32} {median:8.2f} {spread:>13} {ratios[0]} {cpu:7.2f} {ratios[1]} {peak:9,.0f}", flush=True)


def cost_of_bad_lines(folder: Path, ratings: int, rounds: int) -> None:
    """Print the seconds that two bad lines add to reading a file whose bad lines are quarantined."""
    measured(HERE / "shape.py", str(folder), str(ratings))
    arguments = ("events", str(folder), str(folder / "events.parquet"))
    clean = [measured(HERE / "ways.py", *arguments) for _ in range(rounds)]
    path = folder / "ratings.csv"
    data = path.read_bytes()
    middle, end = (data.index(b"\n", len(data) * part // 10) + 1 for part in (4, 8))
    path.write_bytes(data[:middle] + BAD_LINES[0] + data[middle:end] + BAD_LINES[1] + data[end:])
    bad = [measured(HERE / "ways.py", *arguments) for _ in range(rounds)]
    wall, cpu = (
        statistics.median(getattr(one, unit) for one in bad) - statistics.median(getattr(one, unit) for one in clean)
        for unit in ("seconds", "cpu_seconds")
    )
    print(f"two bad lines in {ratings:,} ratings ({bad[0].output}): {wall:.2f} s more, {cpu:.2f} s of CPU time")


if __name__ == "__main__":
    main()
