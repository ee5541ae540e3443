"""Run the HTTP API of published policies."""

import gc
import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import torch
import uvicorn

from serving.api import create_app
from serving.served import ServedPolicies, served_from
from storage.machine import set_malloc

logger = logging.getLogger("marquee.serving")
KEEP_ALIVE_SECONDS = 30
LARGE_BYTES = 8 << 20  # a policy's matrices are larger, the scores of a batch smaller
SHUTDOWN_SECONDS = 15  # in which requests that have begun are answered


def serve(
    where: str,
    policies: Sequence[str],
    baselines: Sequence[str] = (),
    host: str = "127.0.0.1",
    port: int = 8000,
    refresh_seconds: float = 30.0,
    most_waiting: int = 256,
    items: Path | None = None,
) -> None:
    """Load policies and answer requests until a signal ends the process; requests that have begun are answered.

    Args:
        where: where policies are published, or the folder of one policy.
        policies: policy@<alias or digest>; the first is the default.
        baselines: names of baselines to fit on the first policy's dataset.
        host: the address to listen on.
        port: the port to listen on.
        refresh_seconds: between two looks at the aliases.
        most_waiting: questions that may wait; further ones are refused with 503.
        items: a file of new items that may be recommended, too.

    Raises:
        MarqueeError, LearnerError: a policy does not exist or is not valid.
    """
    torch.set_num_threads(1)  # the other core reads and writes
    # Otherwise glibc soon takes blocks of up to 32 MiB from its heap, and policies that are replaced leave gaps there.
    set_malloc(LARGE_BYTES)
    pa.set_memory_pool(pa.system_memory_pool())  # which gives memory back; Arrow's own pool keeps what a table took
    followed = ServedPolicies(served_from(where, policies, baselines, items), refresh_seconds)
    followed.start()
    gc.collect()
    gc.freeze()  # else full collections, of a quarter of a million objects, stop all answers for 0.1 s
    config = uvicorn.Config(
        create_app(followed, most_waiting),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # nothing depends on the client's address
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    try:
        uvicorn.Server(config).run()
    finally:
        followed.stop()
