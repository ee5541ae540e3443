"""A Dask client: of a local cluster that ends with it, or of a scheduler that runs elsewhere."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, LocalCluster
from pydantic import BaseModel, ConfigDict, Field

from storage.errors import MarqueeError


class ClusterParams(BaseModel):
    """Where Dask's work is done; no influence on what comes out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scheduler: str | None = Field(None, description="Address of a running Dask scheduler; empty: a local cluster.")
    workers: int = Field(2, ge=1, le=256, description="Workers of the local cluster.")


class DaskUnreachableError(MarqueeError):
    """The given scheduler does not answer."""


@contextmanager
def dask_client(scheduler: str | None, workers: int) -> Iterator[Client]:
    """Yield a client of `scheduler`, or of a local cluster of single-threaded worker processes.

    Raises:
        DaskUnreachableError: no scheduler answers at the address within 15 s.
    """
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="15s")
        except (OSError, TimeoutError, ValueError) as error:
            raise DaskUnreachableError(
                f"{scheduler}: expected a Dask scheduler; found {type(error).__name__}. Start one by `dask scheduler`, "
                "or leave the address empty for a local cluster."
            ) from error
        with client:
            yield client
        return
    with (
        tempfile.TemporaryDirectory(prefix="marquee-dask-") as scratch,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            local_directory=scratch,
            silence_logs="ERROR",
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
