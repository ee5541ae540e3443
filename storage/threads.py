"""Run work in threads and yield the results in order, with few of them in memory."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
THREADS = min(4, os.cpu_count() or 1)


def in_order(work: Callable[[T], R], inputs: Iterable[T]) -> Generator[R, None, None]:
    """`work` of each input, in the order of the inputs; at most THREADS + 1 results are being made or waiting.

    Threads help if `work` releases the interpreter's lock, as numpy, pyarrow and reading do.

    Args:
        work: called in a thread.
        inputs: read in the calling thread, only as far as needed.

    Raises:
        Exception: what `work` or `inputs` raise; inputs whose work has not started are dropped.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(THREADS) as threads:
        try:
            for one in inputs:
                waiting.append(threads.submit(work, one))
                if len(waiting) > THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # after an error, or if the caller stops, no further work is started
            for future in waiting:
                future.cancel()
