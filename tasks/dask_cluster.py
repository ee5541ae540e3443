"""Where texts are encoded and features are computed: in this process, or on the workers of a Dask cluster."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Self
from urllib.parse import urlsplit

import dask
import torch
from distributed import Client, LocalCluster
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from storage.artifacts.manifest import package_versions
from storage.drafts import draft_beside
from storage.errors import MarqueeError
from storage.home import home
from storage.machine import free_memory, set_malloc, usable_cores
from tasks.fingerprint import code_fingerprint

logger = logging.getLogger("marquee.cluster")
Submit = Callable[..., Any]  # of a function and its arguments, which may be futures; gives a future
LOCAL = "local"
BYTES_PER_ITEM = 16 << 10  # at most, while features are computed: 2,000 columns, the item's data and its embedding


class ClusterParams(BaseModel):
    """Where texts are encoded and features are computed; it does not change the results."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    scheduler: str | None = Field(
        None,
        description="Empty: in the process of the flow. `local`: on Dask workers of this machine, one per core. "
        "tcp://host:8786: on the workers of this Dask scheduler.",
    )
    exchange: str | None = Field(
        None,
        description="Folder or bucket that this process and all workers see, as file:///path or s3://bucket/prefix; needed "
        "with the address of a scheduler. Empty: this work directory.",
    )

    @field_validator("exchange")
    @classmethod
    def _is_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if not parts.scheme or "@" in parts.netloc or parts.query:
            raise ValueError(
                "expected a URL such as file:///path or s3://bucket/prefix; found none, or one with credentials. "
                "Credentials belong into the environment of the client and of the workers."
            )
        return url

    @model_validator(mode="after")
    def _workers_share_an_exchange(self) -> Self:
        if self.scheduler not in (None, LOCAL) and self.exchange is None:
            raise ValueError(
                "expected an exchange with the address of a scheduler; found none. Set cluster.exchange to a folder or bucket "
                "that this process and all workers see."
            )
        return self

    @property
    def exchange_root(self) -> str:
        """The URL below which steps make the folders of their exchanges."""
        return self.exchange.rstrip("/") if self.exchange else f"file://{home() / 'scratch'}"


def log_where(cluster: ClusterParams, items: int) -> None:
    """Log where texts and features of so many items are computed, and why; warn if this process may lack memory for them."""
    size, free = items * BYTES_PER_ITEM, free_memory()
    amount = f"{items:,} items, at most {size >> 20:,} MiB while their features are computed"
    if cluster.scheduler is not None:
        logger.info("%s: texts and features on Dask, because cluster.scheduler is %s", amount, cluster.scheduler)
    elif size > free:
        logger.warning(
            "%s, and %s MiB of memory are free: texts and features in this process, because cluster.scheduler is empty. "
            "Set it to keep a part of the items in memory at a time.", amount, f"{free >> 20:,}",
        )  # fmt: skip
    else:
        logger.info("%s: texts and features in this process, because cluster.scheduler is empty", amount)


class DaskUnreachableError(MarqueeError):
    """The given scheduler does not answer."""


class OtherWorkerError(MarqueeError):
    """A worker has other packages or other code than this process."""


@contextmanager
def workers(cluster: ClusterParams, threads: int) -> Iterator[Submit]:
    """Yield `submit(function, *arguments)`, which has a function run and gives a future with a method `result()`.

    Arguments may be futures of the same `submit`. The work may run twice if a worker ends.

    Args:
        cluster: where it runs.
        threads: how many functions run at a time if that is in this process.

    Raises:
        DaskUnreachableError: see `dask_client`.
    """
    if cluster.scheduler is None:
        with in_this_process(threads) as submit:
            yield submit
    else:
        with dask_client(cluster.scheduler) as client:
            yield on_dask(client)


@contextmanager
def in_this_process(threads: int) -> Iterator[Submit]:
    """Yield a `submit` to some threads of this process, in each of which torch computes on one thread."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))

    def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        # A future among the arguments was submitted before, so it is done or a thread works on it.
        return pool.submit(lambda: function(*(one.result() if isinstance(one, Future) else one for one in arguments)))

    try:
        yield submit
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # each thread sets the number for threads that start later, too


@contextmanager
def dask_client(scheduler: str) -> Iterator[Client]:
    """Yield a client of a scheduler.

    Args:
        scheduler: its address; or `local`, which starts a cluster of single-threaded worker processes, one per core. It ends
            with the client. Its scratch folder is a draft in the work directory: if this process is killed, the next cluster
            removes it.

    Raises:
        DaskUnreachableError: no scheduler answers at the address within 15 s.
    """
    if scheduler != LOCAL:
        try:
            client = Client(scheduler, timeout="15s")
        except (OSError, TimeoutError, ValueError) as error:
            raise DaskUnreachableError(
                f"{scheduler}: expected a Dask scheduler; found {type(error).__name__}. Start one by `dask scheduler`, "
                "or set cluster.scheduler to local, or to null for this process."
            ) from error
        with client:
            yield client
        return
    options = {"n_workers": usable_cores(), "threads_per_worker": 1, "dashboard_address": None, "silence_logs": "ERROR"}
    with (
        draft_beside(home() / "scratch" / "dask") as scratch,
        dask.config.set({"temporary-directory": str(scratch)}),  # of the scheduler, too
        LocalCluster(**options) as cluster,
        Client(cluster) as client,
    ):
        yield client


def on_dask(client: Client) -> Submit:
    """A `submit` to the client's workers; one with other packages or other code computes nothing.

    A task that fails is tried twice again, perhaps on another worker.
    """

    def submit(function: Callable[..., Any], *arguments: Any) -> Any:
        return client.submit(checked, identity_of(function), function, *arguments, pure=False, retries=2)

    return submit


@lru_cache
def identity_of(function: Callable[..., Any]) -> dict[str, str]:
    """The versions of the packages that results depend on, and the hash of all code that a function reaches."""
    return package_versions() | {"code": code_fingerprint(function)}


def checked(expected: dict[str, str], function: Callable[..., Any], *arguments: Any) -> Any:
    """On a worker: what a function returns, if this worker has the client's packages and code.

    Raises:
        OtherWorkerError: it has others.
    """
    found = identity_of(function)
    if found != expected:
        others = [name for name in sorted(expected | found) if found.get(name) != expected.get(name)]
        shown = ", ".join(
            f"{name} {found.get(name, 'absent')} (expected {expected.get(name, 'none')})" for name in others
        )
        raise OtherWorkerError(
            f"a Dask worker: expected the packages and the code of the process that runs the flow; found {shown}. "
            "Start the workers from the same image or environment."
        )
    settle_worker()
    return function(*arguments)


@lru_cache
def settle_worker() -> None:
    """Compute on one thread, since Dask runs one task per core, and let this process reuse freed memory.

    Dask makes its workers return freed memory to the system at once. Encoding allocates and frees activations of a few
    MB all the time. Getting these pages from the system again took as long as the encoding itself.
    """
    torch.set_num_threads(1)
    set_malloc(largest_in_heap=32 << 20, most_kept=256 << 20)
