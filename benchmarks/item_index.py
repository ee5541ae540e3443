"""Item indexes side by side: recall of the exact ten nearest, searches per second, seconds to build, memory, disk.

Usage: python benchmarks/item_index.py [--million]

Searches per second are multiples of the exact engine's.

27,000 vectors of 128 numbers by default, 1,000,000 with --million. Vectors are drawn around 500 centres, as embeddings of
items lie in groups; queries are drawn around the same centres. Each engine is built in one process and searched in another, on one
thread; memory is that of opening and searching, pages of mapped files among it.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from serving.index.params import Engine, IndexParams
from serving.index.stored import build_index, open_index

DIM, CENTRES, QUERIES, DEPTH, SEED = 128, 500, 1000, 10, 0
BATCH = 16  # vectors in one search, as a server that collects requests has
NAMES: dict[Engine, str] = {"exact": "exact", "faiss": "faiss", "milvus": "Milvus Lite"}
ENGINES: tuple[tuple[Engine, str, int], ...] = (
    ("exact", "", 1),
    ("faiss", "Flat", 1),
    ("faiss", "IVF256,Flat", 8),
    ("faiss", "IVF256,Flat", 32),
    ("faiss", "HNSW32", 64),
    ("faiss", "HNSW32", 256),
    ("faiss", "LSH", 1),
    ("milvus", "FLAT", 1),
    ("milvus", "IVF_FLAT", 32),
    ("milvus", "HNSW", 128),
)


def generated(items: int) -> tuple[np.ndarray[Any, np.dtype[np.float32]], torch.Tensor]:
    """Items (I, D) and queries (Q, D)."""
    generator = torch.Generator().manual_seed(SEED)
    centres = torch.randn((CENTRES, DIM), generator=generator)

    def around(count: int) -> torch.Tensor:
        chosen = torch.randint(CENTRES, (count,), generator=generator)
        return centres[chosen] + torch.randn((count, DIM), generator=generator)

    return around(items).numpy(), around(QUERIES)


def built(folder: Path, engine: Engine, factory: str, effort: int, items: int) -> float:
    """Build one index in a folder; returns the seconds."""
    torch.set_num_threads(1)
    vectors, _ = generated(items)
    began = time.perf_counter()
    build_index(folder, vectors, "cosine", IndexParams(engine=engine, factory=factory or "Flat", effort=effort))
    return time.perf_counter() - began


def searched(folder: Path, items: int) -> dict[str, Any]:
    """Open the index of a folder and search it."""
    torch.set_num_threads(1)
    _, queries = generated(items)
    before = resident()
    index = open_index(folder)
    index.search(queries[:BATCH], DEPTH)
    began = time.perf_counter()
    found = [index.search(part, DEPTH).items for part in queries.split(BATCH)]
    seconds = time.perf_counter() - began
    return {"found": torch.cat(found).tolist(), "per_second": QUERIES / seconds, "memory_mib": resident() - before}


def resident() -> float:
    """Memory of this process that is in use, MiB, pages of mapped files among it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def alone(function: Callable[..., Any], *given: object) -> Any:
    """Call a function in a process of its own, so that memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, given)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--million", action="store_true", help="1,000,000 vectors")
    items = 1_000_000 if parser.parse_args().million else 27_000
    print(f"{items:,} vectors of {DIM} numbers, {QUERIES:,} queries in batches of {BATCH}, one thread")
    print("| engine | effort | recall@10 | searches/s, of exact | build, s | memory, MiB | disk, MiB |")
    print("|---|---|---|---|---|---|---|")
    first: dict[str, Any] = {}
    for engine, kind, effort in ENGINES:
        factory = kind.replace("256", "4096") if items > 100_000 else kind
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            seconds = alone(built, folder, engine, factory, effort, items)
            disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
            one = alone(searched, folder, items)
        first = first or one
        recall = np.mean(
            [len(set(own) & set(best)) / DEPTH for own, best in zip(one["found"], first["found"], strict=True)]
        )
        ratio = one["per_second"] / first["per_second"]
        print(
            f"| {NAMES[engine]} {factory} | {effort if effort > 1 else ''} | {recall:.3f} | {ratio:.2f}× | {seconds:.1f} "
            f"| {one['memory_mib']:,.0f} | {disk:,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
