"""Claim: features on Dask equal those of one process.

    python benchmarks/scale.py [items …, default 27,000 300,000]

Generated items with texts, people, keywords, numbers, text vectors, rating statistics and factors. Each way runs in a process of
its own: in that process, and on a LocalCluster of 1 and 2 workers. Prints for the two passes over the items, without the
generation of the items and without the start of the cluster: wall seconds, CPU seconds of all processes (those of workers from
their start to their end), the peak memory of the process of the flow and of a worker, what was written to the exchange, and
what workers sent to one another. The last column is the largest difference of an embedding from the way in one process.
"""

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

import numpy as np
import pyarrow as pa
from distributed import Client, LocalCluster, Worker
from measure import measured
from numpy.typing import NDArray
from shaped import conditions

from models.encoders.blocks import BLOCKS
from models.encoders.columns import Terms
from models.encoders.passes import embed_partitions
from storage.tables import MOVIES_SCHEMA, list_column
from tasks.dask_cluster import ClusterParams, workers
from tasks.feature_blocks import OF_EVENTS, lists_of
from tasks.item_partitions import item_partitions

WAYS = {"0": "in one process", "1": "Dask, 1 worker", "2": "Dask, 2 workers"}
MIB = 1 << 20


def generated_rows(items: int) -> pa.Table:
    """Rows like those of `tasks.feature_blocks.item_rows`."""
    rng = np.random.default_rng(0)

    def drawn(count: int, each: int) -> pa.ListArray:
        """Some of `count` names for each item; a few names are frequent."""
        code = (count * rng.random(items * each) ** 3).astype(np.int64)
        return lists_of(
            Terms(np.repeat(np.arange(items), each), code, [f"name {place}" for place in range(count)]), items
        )

    words = np.array(
        [f"w{''.join(chr(97 + place // 26**power % 26) for power in range(3))}" for place in range(17_000)]
    )
    pool = pa.array([" ".join(words[(17_000 * rng.random(40) ** 3).astype(int)]) for _ in range(min(items, 20_000))])
    chosen = {
        "movie_id": pa.array(np.arange(items)),
        "title": pa.array(["A title"]).take(pa.array(np.zeros(items, dtype=np.int32))),
        "overview": pool.take(pa.array(rng.integers(0, len(pool), items))),
        "genres": drawn(20, 2),
        "cast": drawn(max(items, 100), 10),
        "directors": drawn(max(items // 4, 100), 1),
        "companies": drawn(max(items // 10, 100), 2),
        "keywords": drawn(20_000, 6),
    }
    chosen |= {name: pa.array(rng.lognormal(10, 2, items)) for name in ("budget_usd", "popularity", "vote_average")}
    movies = {
        field.name: chosen[field.name].cast(field.type) if field.name in chosen else pa.nulls(items, field.type)
        for field in MOVIES_SCHEMA
    }
    statistics = np.concatenate([rng.lognormal(3, 1, (items, 6)), np.full((items, 1), 3.5)], axis=1)
    return pa.table(
        movies
        | {
            "text_vector": list_column(rng.standard_normal((items, 384), dtype=np.float32)),
            "train": pa.array(rng.random(items) < 0.9),
            f"{OF_EVENTS}ratings": list_column(statistics),
            f"{OF_EVENTS}collaborative": list_column(rng.standard_normal((items, 64), dtype=np.float32)),
        }
    )


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(usage.ru_utime + usage.ru_stime for usage in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


def peak_mib() -> float:
    """Peak memory of a process."""
    return getrusage(RUSAGE_SELF).ru_maxrss / 1024


def sent_bytes(dask_worker: Worker) -> int:
    """What a worker has sent to others."""
    return int(dask_worker.transfer_outgoing_bytes_total)


def run(items: int, count: int, folder: Path) -> None:
    """Embed the items with so many workers, write the embeddings, and print what it took as JSON."""
    rows = generated_rows(items)
    began = cpu_seconds()
    found: dict[str, float] = {"worker": 0, "sent": 0, "written": 0}
    with ExitStack() as stack:
        cluster = ClusterParams()
        if count:
            local = stack.enter_context(
                LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None, silence_logs="ERROR")
            )
            cluster = ClusterParams(scheduler=local.scheduler_address, exchange=f"file://{folder}/exchange")
        start = time.perf_counter()
        with workers(cluster, threads=1) as submit, item_partitions(rows, cluster) as partitions:
            del rows
            embed_partitions(submit, partitions, {name: block.weight for name, block in BLOCKS.items()}, 128)
            embedding = np.concatenate([partition.read("embedding") for partition in partitions])
            found["seconds"] = time.perf_counter() - start
            if count:
                client = stack.enter_context(Client(local))
                found["worker"] = max(client.run(peak_mib).values())
                found["sent"] = sum(client.run(sent_bytes).values()) / MIB
                found["written"] = sum(path.stat().st_size for path in folder.rglob("exchange/*/*")) / MIB
    found |= {"cpu": cpu_seconds() - began, "own": peak_mib()}
    np.save(folder / f"{count}.npy", embedding)
    print(json.dumps(found))


def difference(one: Path, other: Path) -> float:
    """The largest difference between two files of embeddings."""
    first, second = (np.load(path, mmap_mode="r") for path in (one, other))
    parts: list[NDArray[np.float32]] = [
        np.abs(first[at : at + 4096] - second[at : at + 4096]) for at in range(0, len(first), 4096)
    ]
    return float(max(part.max() for part in parts))


def main() -> None:
    """Measure and print."""
    print(f"{'items':>9} {'way':16} {'seconds':>8} {'CPU s':>7} {'flow MiB':>9} {'worker MiB':>10} {'written MiB':>11} {'sent MiB':>9} "
          f"{'difference':>10}   {conditions()}")  # fmt: skip
    for items in [int(text.replace(",", "")) for text in sys.argv[1:]] or [27_000, 300_000]:
        with tempfile.TemporaryDirectory(prefix="marquee-bench-") as name:
            folder = Path(name)
            for count, way in WAYS.items():
                found = json.loads(measured(Path(__file__), "run", str(items), count, name).output.splitlines()[-1])
                apart = difference(folder / "0.npy", folder / f"{count}.npy")
                print(f"{items:9,} {way:16} {found['seconds']:8.1f} {found['cpu']:7.1f} {found['own']:9,.0f} {found['worker']:10,.0f} "
                      f"{found['written']:11,.0f} {found['sent']:9,.0f} {apart:10.1e}", flush=True)  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
