"""Connect to Dask: to a local cluster that ends with the client, or to a scheduler that runs elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import dask
from distributed import Client, LocalCluster
from pydantic import BaseModel, ConfigDict, Field, field_validator

from storage.drafts import draft_beside
from storage.errors import MarqueeError
from storage.home import home


class ClusterParams(BaseModel):
    """Where Dask runs; it does not change the results."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    scheduler: str | None = Field(None, description="Address of a running Dask scheduler; empty: a local cluster.")
    workers: int = Field(2, ge=1, le=256, description="Workers of the local cluster.")
    exchange: str | None = Field(
        None,
        description="Folder or bucket that client and workers share, as file:///path or s3://bucket/prefix; keeps "
        "finished partitions until a step is done. Empty: this work directory, and the scheduler of a remote cluster.",
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


class DaskUnreachableError(MarqueeError):
    """The given scheduler does not answer."""


@contextmanager
def dask_client(scheduler: str | None, workers: int) -> Iterator[Client]:
    """Yield a client of `scheduler`, or of a local cluster of single-threaded worker processes.

    The scratch folder is a draft in the work directory: if this process is killed, the next cluster removes it.

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
        draft_beside(home() / "scratch" / "dask") as scratch,
        dask.config.set({"temporary-directory": str(scratch)}),  # of the scheduler, too
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs="ERROR") as cluster,
        Client(cluster) as client,
    ):
        yield client
