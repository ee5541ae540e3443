"""Measure a whole flow from an empty work directory: wall time, peak memory and the share of each stage.

    python benchmarks/whole_way.py [retrain | build-dataset] [arguments of that command]

At ML-20M's size: python benchmarks/shape.py ml-20m, then build-dataset --data ml-20m --metadata ml-20m/metadata. Prints a table of
stages, then the total, the total without encoding texts, the time of a second run that re-uses everything, and that of a
plain copy of all artifacts.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import psutil

from storage.artifacts.store import ArtifactStore


def run(arguments: list[str], home: Path) -> tuple[float, float, str]:
    """Seconds, peak resident MiB of the process tree, and the output of one run."""
    env = os.environ | {"MARQUEE_HOME": str(home / "marquee"), "PREFECT_HOME": str(home / "prefect")}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *arguments],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    peak = 0.0

    def watch() -> None:
        nonlocal peak
        while process.poll() is None:
            total = 0
            try:
                root = psutil.Process(process.pid)
                for one in (root, *root.children(recursive=True)):
                    total += one.memory_info().rss
            except psutil.NoSuchProcess:
                pass
            peak = max(peak, total / 2**20)
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = process.communicate()
    watcher.join()
    if process.returncode:
        raise SystemExit(output)
    return time.perf_counter() - began, peak, output


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="marquee-bench-") as folder:
        home = Path(folder)
        arguments = sys.argv[1:] if sys.argv[1:2] in (["retrain"], ["build-dataset"]) else ["retrain", *sys.argv[1:]]
        # Prefect creates its database once per machine; that takes longer than all later starts.
        prefect = [str(Path(sys.executable).with_name("prefect")), "server", "database", "upgrade", "--yes"]
        subprocess.run(
            prefect, env=os.environ | {"PREFECT_HOME": str(home / "prefect")}, check=True, capture_output=True
        )
        seconds, peak, output = run(arguments, home)
        store = ArtifactStore(home / "marquee" / "artifacts")
        stages: dict[str, float] = defaultdict(float)
        for kind in (path.name for path in store.root.iterdir()):
            for manifest in store.manifests(kind):
                stages[f"{kind} {manifest.facts.get('learner', '')}".strip()] += manifest.seconds
        again, _, _ = run(arguments, home)
        began = time.perf_counter()
        shutil.copytree(store.root, home / "copy")
        copied = time.perf_counter() - began
    for stage, spent in sorted(stages.items(), key=lambda pair: -pair[1]):
        print(f"{stage:24} {spent:7.1f} s  {100 * spent / seconds:5.1f} %")
    rest = seconds - sum(stages.values())
    print(f"{'start, Prefect, publish':24} {rest:7.1f} s  {100 * rest / seconds:5.1f} %")
    print(f"{'whole':24} {seconds:7.1f} s; peak {peak:,.0f} MiB in all processes; load {os.getloadavg()[0]:.1f}")
    print(f"{'whole without texts':24} {seconds - stages['texts']:7.1f} s")
    print(f"{'again, all re-used':24} {again:7.1f} s; ratio {again / seconds:.2f}")
    print(f"{'plain copy of artifacts':24} {copied:7.1f} s; again / copy {again / copied:.1f}")
    print("\n".join(line for line in output.splitlines() if "NDCG" in line))


if __name__ == "__main__":
    main()
