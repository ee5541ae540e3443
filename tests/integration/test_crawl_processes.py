"""Crawls by several real processes: one rate, one pause, and a killed one that goes on where it was."""

import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from integration.crawl_support import by_tmdb, catalogue, crawled
from integration.replay_server import ReplayServer, Step, serving
from tests_support import REPOSITORY

CHILD = """
import sys
from pathlib import Path
from integration.crawl_support import by_tmdb, crawled
from integration.replay_server import ReplayServer
server = ReplayServer({}, None)
url, folder, first, last, rate, concurrency = sys.argv[1:]
server.url = url
limits = {"concurrency": int(concurrency)}
print("ready", flush=True)
sys.stdin.readline()
_, facts = crawled(server, Path(folder), by_tmdb(*range(int(first), int(last))), rate=float(rate), limits=limits)
print(facts["fetched"])
"""


def child(
    server: ReplayServer, folder: Path, first: int, last: int, rate: float, concurrency: int = 2
) -> subprocess.Popen[str]:
    arguments = [server.url, str(folder), str(first), str(last), str(rate), str(concurrency)]
    path = {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}"}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        env=path,
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def start(*processes: subprocess.Popen[str]) -> None:
    """Let all begin at once, however long each took to import."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def finish(*processes: subprocess.Popen[str]) -> int:
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes)
    return sum(int(output) for output in outputs)


def busiest_second(times: list[float]) -> int:
    times = sorted(times)
    return max(sum(at <= other < at + 1 for other in times) for at in times)


def test_processes_keep_one_rate_together(tmp_path: Path) -> None:
    with serving(catalogue(*range(1, 101))) as server:
        processes = [child(server, tmp_path, first, first + 25, rate=25) for first in (1, 26, 51, 76)]
        start(*processes)
        assert finish(*processes) == 100
    times = [asked.at for asked in server.log]
    assert len(times) == 100
    assert busiest_second(times) <= 25 + 8  # what is due while a process waits for its turn on the CPU goes out at once
    assert max(times) - min(times) > 3.6  # 99 intervals of 40 ms, less what the first were late


def test_retry_after_to_one_process_pauses_all(tmp_path: Path) -> None:
    with serving(catalogue(*range(1, 181))) as server:
        server.script("/3/movie/30", Step(429, b"{}", {"Retry-After": "3"}))
        processes = [child(server, tmp_path, first, first + 60, rate=30) for first in (1, 61, 121)]
        start(*processes)
        assert finish(*processes) == 180
    refused = next(asked.at for asked in server.log if asked.route == "/3/movie/30")
    before = {(int(asked.route.rsplit("/", 1)[1]) - 1) // 60 for asked in server.log if asked.at < refused}
    after = [asked.at for asked in server.log if asked.at > refused + 0.8]  # what was under way arrives
    assert len(before) == 3  # all were at work
    assert min(after) > refused + 2.8
    assert server.routes.count("/3/movie/30") == 2


def test_a_killed_crawl_goes_on_without_asking_twice(tmp_path: Path) -> None:
    movies = range(1, 81)
    with serving(catalogue(*movies)) as server:
        process = child(server, tmp_path, 1, 81, rate=40)
        start(process)
        deadline = time.monotonic() + 600
        while len(server.log) < 40 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        time.sleep(0.2)
        kept = {path.name for path in (tmp_path / "responses").glob("??/*.response")}
        before = list(server.routes)
        table, facts = crawled(server, tmp_path, by_tmdb(*movies))
        times_asked = Counter(server.routes)
    assert table["tmdb_id"].to_pylist() == list(movies)
    assert facts["cached"] == len(kept) >= 30
    assert len(server.log) == len(before) + 80 - len(kept)
    assert sum(times_asked.values()) - 80 <= 2  # only what was in flight at the kill
    assert facts["fetched"] == 80 - len(kept)
