"""Claim: time and memory of ingest grow linearly with the number of ratings; memory is bounded if they are streamed.

    python benchmarks/growth.py [--huge]

Prints seconds, CPU seconds and peak memory for 1, 5 and 20 million ratings, for the dataset in memory and for streaming into
Parquet, and the increase per million ratings from the size before. --huge adds 100 million ratings, streamed (the raw file
takes about 2.7 GB of disk).
"""

import sys
import tempfile
from pathlib import Path

from measure import Measured, measured

HERE = Path(__file__).parent
MILLIONS = (1, 5, 20)
HUGE = 100
NAMES = {"dataset": "CSV → events → HDF5", "events": "CSV → events.parquet, streamed"}


def main() -> None:
    """Measure and print."""
    print(
        f"{'way':32} {'ratings':>12} {'seconds':>8} {'CPU s':>7} {'peak MiB':>9} {'CPU s per 1M more':>18} {'MiB per 1M more':>16}"
    )
    before: dict[str, tuple[int, Measured]] = {}
    for millions in (*MILLIONS, *((HUGE,) if "--huge" in sys.argv[1:] else ())):
        with tempfile.TemporaryDirectory(prefix="marquee-bench-") as name:
            folder = Path(name)
            measured(HERE / "shape.py", str(folder), str(millions * 1_000_000))
            for way in ("events",) if millions == HUGE else NAMES:
                best = best_of(1 if millions == HUGE else 3, way, folder)
                row = f"{best.seconds:8.2f} {best.cpu_seconds:7.2f} {best.peak_mib:9,.0f}"
                if way in before:
                    fewer, smaller = before[way]
                    cpu = (best.cpu_seconds - smaller.cpu_seconds) / (millions - fewer)
                    row += f" {cpu:18.3f} {(best.peak_mib - smaller.peak_mib) / (millions - fewer):16.1f}"
                before[way] = (millions, best)
                print(f"{NAMES[way]:32} {millions * 1_000_000:12,} {row}", flush=True)


def best_of(rounds: int, way: str, folder: Path) -> Measured:
    """The fastest of several processes."""
    return min(
        (measured(HERE / "ways.py", way, str(folder), str(folder / way)) for _ in range(rounds)),
        key=lambda run: run.seconds,
    )


if __name__ == "__main__":
    main()
