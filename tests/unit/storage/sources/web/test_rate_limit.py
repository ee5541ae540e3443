import asyncio
import struct
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from tests_support import REPOSITORY

from storage.sources.web.rate_limit import RateLimiter


def test_slots_are_spaced_and_pauses_hold(tmp_path: Path) -> None:
    async def turns(count: int) -> list[float]:
        limiters = [RateLimiter(tmp_path / "rate", 50) for _ in range(3)]  # as three processes would have

        async def turn(place: int) -> float:
            await limiters[place % 3].turn()
            return time.time()

        return sorted(await asyncio.gather(*(turn(place) for place in range(count))))

    began = time.time()  # the first may come late, and then less is between it and the last
    assert asyncio.run(turns(20))[-1] - began >= 19 / 50
    RateLimiter(tmp_path / "rate", 50).pause(0.5)
    began = time.time()
    assert asyncio.run(turns(3))[0] - began > 0.45


def test_a_pause_voids_slots_that_were_taken_before(tmp_path: Path) -> None:
    async def waiting_when_it_comes() -> float:
        limiter, other = (RateLimiter(tmp_path / "rate", 2) for _ in range(2))
        await limiter.turn()
        second = asyncio.create_task(limiter.turn())  # due in half a second
        await asyncio.sleep(0.1)
        began = time.time()
        other.pause(1.0)
        await second
        return time.time() - began

    assert asyncio.run(waiting_when_it_comes()) > 0.95


def test_no_slot_is_given_to_two_processes(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from storage.sources.web.rate_limit import RateLimiter\n"
        "limiter = RateLimiter(Path(sys.argv[1]), 100)\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for _ in range(1500): print(repr(limiter.reserve()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "rate")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, cwd=REPOSITORY, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    slots = sorted(float(line) for output in outputs for line in output.split())
    assert len(slots) == 4500
    assert min(after - before for before, after in pairwise(slots)) > 0.0099


@pytest.mark.parametrize("data", [b"", b"torn", b"\xff" * 16, struct.pack("<dd", 1e300, float("nan")), b"x" * 99])
def test_damaged_times_count_as_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "rate").write_bytes(data)
    before = time.time()
    assert before <= RateLimiter(tmp_path / "rate", 100).reserve() <= time.time()


def test_the_clock_may_have_been_set_back(tmp_path: Path) -> None:
    before = time.time()
    (tmp_path / "rate").write_bytes(struct.pack("<dd", before + 90_000, before + 90_000))
    assert before <= RateLimiter(tmp_path / "rate", 100).reserve() <= time.time()
