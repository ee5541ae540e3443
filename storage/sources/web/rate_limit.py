"""One request rate for all processes that share a file, on one machine or on several."""

import asyncio
import fcntl
import math
import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from storage.files import writing_to

STATE = struct.Struct("<dd")  # Unix times: of the next free slot, of the end of the pause
LONGEST_WAIT_SECONDS = 3600.0


class RateLimiter:
    """Gives out slots, times at which one request may be sent, `1 / requests_per_second` apart and never in bursts.

    The time of the next free slot is in a locked file. Processes that know nothing of each other therefore share one rate,
    and a pause that the server asks for holds for all of them. The kernel releases the lock when its process dies.
    Machines that share the file need synchronised clocks (NTP).

    Args:
        path: of the file.
        requests_per_second: the rate.
    """

    def __init__(self, path: Path, requests_per_second: float) -> None:
        self.path = path
        self.interval = 1.0 / requests_per_second
        self._lock = threading.Lock()  # on network file systems the file lock may not exclude threads of one process
        with writing_to(path):
            path.parent.mkdir(parents=True, exist_ok=True)

    async def turn(self) -> None:
        """Wait until one request may be sent."""
        while True:
            slot = await asyncio.to_thread(self.reserve)
            await asyncio.sleep(max(0.0, slot - time.time()))
            # If a pause began during the wait, take another slot: else all waiting processes would send during the pause.
            if await asyncio.to_thread(self._change, _end_of_pause) <= time.time():
                return

    def reserve(self) -> float:
        """Take the next free slot; returns its Unix time."""
        return self._change(self._take_slot)

    def pause(self, seconds: float) -> None:
        """Stop all processes that share the file from sending for `seconds`, at most an hour."""
        end = time.time() + min(seconds, LONGEST_WAIT_SECONDS)
        self._change(lambda slot, paused: (slot, max(paused, end), 0.0))

    def _take_slot(self, slot: float, paused: float) -> tuple[float, float, float]:
        mine = max(time.time(), slot, paused)
        return mine + self.interval, paused, mine

    def _change(self, change: Callable[[float, float], tuple[float, float, float]]) -> float:
        """Apply `change` to (next slot, end of pause) under the lock; returns its third value."""
        with writing_to(self.path), self._lock:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                slot, paused, result = change(*_sane(os.pread(file, STATE.size, 0)))
                os.pwrite(file, STATE.pack(slot, paused), 0)
            finally:
                os.close(file)  # releases the lock
            return result


def _end_of_pause(slot: float, paused: float) -> tuple[float, float, float]:
    return slot, paused, paused


def _sane(data: bytes) -> tuple[float, float]:
    """The stored times; 0 for each that is missing, damaged or too far in the future (a clock was set back)."""
    if len(data) != STATE.size:
        return 0.0, 0.0
    latest = time.time() + LONGEST_WAIT_SECONDS + 60
    slot, paused = (moment if math.isfinite(moment) and moment <= latest else 0.0 for moment in STATE.unpack(data))
    return slot, paused
