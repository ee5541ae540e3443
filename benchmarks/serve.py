"""Claim: `marquee serve` answers 800 single histories a second at a 99th percentile of 30 ms, in 600 MiB, and reloads drop nothing.

    python benchmarks/serve.py [--seconds 10] [--connections 16] [--items 27000] [--policy ranking | td3_bc]

A policy of generated weights in ML-20M's sizes (items × 128 dimensions; `ranking` with a kernel of 8,000 items, fitted terms and
critics) is published to a folder and served by a process of its own. This process sends histories of 5 to 60 ratings over
loopback, on connections that each wait for their answer, and then again while the alias moves to another policy. Prints
requests per second, times, the CPU time per request of the server and of this process, memory, the seconds from the end of
the imports to readiness, the statuses, the load average beside each, and which parts of the claim hold. Where other programs
run, times say little, but CPU time per request does: 1,000 ms divided by it are the requests per second of one free core.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import uvloop
from safetensors.torch import save_file
from shaped import conditions

from models.fitted_terms import TrainingCatalogue
from models.networks import Actor, Critics
from models.policy import Policy, Publishable
from models.ranking_policy import RankingPolicy
from models.ranking_policy_config import RankingPolicyConfig
from models.term_weights import TermWeights
from storage.artifacts.aliases import move_alias
from storage.artifacts.manifest import Recipe
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactStore
from storage.dataset.scale import RatingRewards, RatingScale, RewardMap
from storage.tables import MOVIES_SCHEMA, items_table

DIM, FRAME, KERNEL = 128, 10, 8000
RATE, P99_MS, MIB, START_SECONDS = 800, 30, 600, 5  # the claim
Claims = dict[str, bool]
GENRES = ["Action", "Comedy", "Crime", "Drama", "Horror", "Romance", "Sci-Fi"]


def made_policy(name: str, embedding: torch.Tensor) -> Publishable:
    """A policy of random weights."""
    items = len(embedding)
    if name == "td3_bc":
        size = FRAME * (DIM + 1)
        return Policy(Actor(size, DIM, 256, 1.0), embedding, "cosine", Critics(2, size, DIM, 256), 0)
    frequent = torch.arange(min(KERNEL, items))
    transitions, associations = torch.randn(2, len(frequent), len(frequent))
    counts = torch.arange(items)
    catalogue = TrainingCatalogue(embedding, counts, counts, frequent, transitions, associations, 5.0)
    policy = RankingPolicy(RankingPolicyConfig(), catalogue).eval()
    policy.weights["next"] = TermWeights(actor=1.0, popularity=1.0, transitions=1.0, content=1.0, critic=0.1)
    return policy


def publish_policy(name: str, items: int, seed: int, home: Path, to: Path) -> str:
    """Publish a policy as policy@champion; its digest."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(items, DIM)).astype(np.float32)
    policy = made_policy(name, torch.from_numpy(embedding))
    movies = pa.Table.from_pylist(
        [
            {"movie_id": item, "external_id": str(item), "title": f"Film {item}", "year": 1950 + item % 70,
             "genres": [GENRES[item % len(GENRES)]], "has_metadata": True}
            for item in range(items)
        ],
        schema=MOVIES_SCHEMA,
    )  # fmt: skip
    table = items_table(movies, embedding, np.ones(items, bool))
    artifacts, scale = ArtifactStore(home / "artifacts"), RatingScale()
    recipe = Recipe(kind="policy", schema_version=1, parameters={"seed": seed}, inputs={}, code="benchmark")
    with artifacts.create(recipe) as draft:
        save_file(policy.tensors(), draft.path / "policy.safetensors")
        (draft.path / "config.json").write_text(json.dumps(policy.config()))
        pq.write_table(table.append_column("training_events", pa.array(np.arange(items))), draft.path / "items.parquet")
        rewards = RatingRewards(scale=scale, reward=RewardMap.default(scale))
        (draft.path / "ratings.json").write_text(rewards.model_dump_json())
        draft.facts = {"learner": name}
    store = open_store(str(to))
    publish(store, artifacts, draft.committed)
    move_alias(store, draft.committed, "champion", {})
    return draft.committed.digest


def requests(items: int, count: int = 500) -> list[bytes]:
    """Requests with different histories."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(count):
        ids = rng.choice(items, int(rng.integers(5, 61)), replace=False).tolist()
        history = [{"movie_id": movie, "rating": 0.5 * int(rng.integers(1, 11))} for movie in ids]
        body = json.dumps({"history": history, "k": 10}).encode()
        head = f"POST /recommend HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        found.append(head.encode() + body)
    return found


async def load(
    port: int, asked: list[bytes], connections: int, stop: asyncio.Event, statuses: Counter[int]
) -> list[tuple[float, float]]:
    """Send requests on each connection, one after another, until `stop`; when each began, and its seconds."""
    found: list[tuple[float, float]] = []

    async def connection(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        place = first
        while not stop.is_set():
            began = time.perf_counter()
            writer.write(asked[place % len(asked)])
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            found.append((began, time.perf_counter() - began))
            statuses[int(head[9:12])] += 1
            place += connections
        writer.close()

    await asyncio.gather(*(connection(first) for first in range(connections)))
    return found


async def measured(port: int, asked: list[bytes], given: Any, publishing: list[str], server: psutil.Process) -> Claims:
    """Load the server, without and then with a reload, and print what was found; which parts of the claim hold."""
    claims: Claims = {}
    for title, change in (("steady", None), ("reload", publishing)):
        statuses: Counter[int] = Counter()
        stop = asyncio.Event()
        task = asyncio.create_task(load(port, asked, given.connections, stop, statuses))
        await asyncio.sleep(1)  # warms up
        began, cpu, own = time.perf_counter(), sum(server.cpu_times()[:2]), time.process_time()
        if change is None:
            await asyncio.sleep(given.seconds)
        else:
            before = await asyncio.to_thread(digest_of, port)
            process = await asyncio.create_subprocess_exec(*change)
            await process.wait()
            while await asyncio.to_thread(digest_of, port) == before:
                await asyncio.sleep(0.2)
            await asyncio.sleep(given.seconds)
        ended, cpu, own = time.perf_counter(), sum(server.cpu_times()[:2]) - cpu, time.process_time() - own
        stop.set()
        times = np.array([seconds for at, seconds in await task if began <= at <= ended])
        middle, high, highest = np.quantile(times, (0.5, 0.99, 1)) * 1000
        print(
            f"{title:8} {len(times) / (ended - began):7,.0f} requests/s   p50 {middle:5.1f} ms   p99 {high:5.1f} ms   "
            f"slowest {highest:5.0f} ms   CPU per request {1000 * cpu / len(times):4.2f} ms, of the load "
            f"{1000 * own / len(times):4.2f} ms   statuses {dict(statuses)}   load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        if change is None:
            claims = {f"{RATE} requests/s": len(times) / (ended - began) >= RATE, f"p99 of {P99_MS} ms": high <= P99_MS}
        else:
            claims["no request dropped"] = set(statuses) == {200}
    return claims


def digest_of(port: int) -> str | None:
    """What the server serves; None while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/policies", timeout=5) as answer:
            return str(json.load(answer)["policies"][0]["digest"])
    except OSError:
        return None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--items", type=int, default=27_000)
    parser.add_argument("--policy", choices=("ranking", "td3_bc"), default="ranking")
    parser.add_argument("--publish", nargs=2, metavar=("HOME", "TO"), help=argparse.SUPPRESS)
    given: Any = parser.parse_args()
    if given.publish:  # the second policy, by a process of its own
        publish_policy(given.policy, given.items, 1, *map(Path, given.publish))
        return
    with tempfile.TemporaryDirectory() as name, socket.socket() as free:
        folder = Path(name)
        publish_policy(given.policy, given.items, 0, folder / "maker", folder / "published")
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        environment = os.environ | {"MARQUEE_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import flows.cli, serving.server"], check=True, env=environment)
        imports = time.perf_counter() - began
        began = time.perf_counter()
        words = ["serve", "--from", str(folder / "published"), "--port", str(port), "--refresh-seconds", "1"]
        with subprocess.Popen([sys.executable, "-m", "flows.cli", *words], env=environment) as server:
            while digest_of(port) is None:
                time.sleep(0.02)
            ready = time.perf_counter() - began - imports
            memory = psutil.Process(server.pid)
            print(f"{given.policy}, {given.items:,} items, {given.connections} connections, {conditions()}")
            cpu = sum(memory.cpu_times()[:2])
            print(f"start    {ready:.1f} s after {imports:.1f} s of imports; CPU of both {cpu:.1f} s", flush=True)
            publishing = [
                sys.executable, __file__, "--policy", given.policy, "--items", str(given.items),
                "--publish", str(folder / "maker"), str(folder / "published"),
            ]  # fmt: skip
            steady = memory.memory_info().rss
            claims = uvloop.run(measured(port, requests(given.items), given, publishing, memory))
            after = memory.memory_info().rss
            print(f"memory   {steady / 2**20:,.0f} MiB at the start, {after / 2**20:,.0f} MiB after the reload")
            claims |= {
                f"{MIB} MiB": max(steady, after) <= MIB * 2**20,
                f"start in {START_SECONDS} s": ready <= START_SECONDS,
            }
            print("claim    " + ", ".join(f"{name}: {'yes' if holds else 'NO'}" for name, holds in claims.items()))
            server.send_signal(signal.SIGTERM)
            server.wait(60)


if __name__ == "__main__":
    main()
