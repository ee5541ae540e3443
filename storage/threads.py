"""Work in threads whose results come back in order, with few of them in memory."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
THREADS = min(4, os.cpu_count() or 1)


def in_order(work: Callable[[T], R], inputs: Iterable[T]) -> Generator[R, None, None]:
    """`work` of every input, in the order of the inputs; at most THREADS + 1 results are under way or waiting.

    Pays where `work` gives up the interpreter's lock (C helpers, numpy, reading).
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
        finally:  # whoever stops listening, or an error, leaves nothing to be begun
            for future in waiting:
                future.cancel()
