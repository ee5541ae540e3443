"""Partitions of items: in memory, or on an exchange that Dask workers see."""

import logging
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import pyarrow as pa
from numpy.typing import NDArray

from models.encoders.columns import ItemColumns
from models.encoders.passes import MemoryPartition, Partition
from storage.artifacts.exchange import Exchange, ExchangeError
from storage.drafts import draft_beside
from storage.home import home
from tasks.dask_cluster import ClusterParams
from tasks.feature_blocks import item_columns

logger = logging.getLogger("marquee.features")
ROWS = 4096  # of a partition, wherever it is computed: sums then have one order


class ItemPartition(NamedTuple):
    """The place of some items on an exchange; this is all that is sent to a worker."""

    url: str
    name: str

    def items(self) -> ItemColumns:
        """Read the items."""
        with pa.ipc.open_stream(Exchange(self.url).need(f"{self.name}.rows.arrow")) as reader:
            return item_columns(reader.read_all())

    def write(self, name: str, array: NDArray[Any]) -> None:
        """Keep an array."""
        Exchange(self.url).write_array(f"{self.name}.{name}.npy", array)

    def read(self, name: str) -> NDArray[Any]:
        """An array that was kept."""
        return Exchange(self.url).need_array(f"{self.name}.{name}.npy")


@contextmanager
def item_partitions(rows: pa.Table, cluster: ClusterParams) -> Iterator[Sequence[Partition]]:
    """Yield the partitions of `item_rows`: in memory, or for workers on an exchange that is removed at the end.

    Args:
        rows: I ≥ 1 of them.
        cluster: where the features are computed.
    """
    parts = [rows.slice(start, ROWS) for start in range(0, rows.num_rows, ROWS)]
    if cluster.scheduler is None:
        yield [MemoryPartition(item_columns(part)) for part in parts]
        return
    name = f"items-{secrets.token_hex(4)}"  # two runs that make the same artifact do not share it
    with ExitStack() as stack:
        root = cluster.exchange_root
        if cluster.exchange is None:  # a draft is removed even if this process is killed
            root = f"file://{stack.enter_context(draft_beside(home() / 'scratch' / 'items'))}"
        exchange = Exchange(f"{root}/{name}")
        try:
            yield [write_partition(exchange, f"{place:06}", part) for place, part in enumerate(parts)]
        finally:
            try:
                exchange.remove()
            except ExchangeError as error:  # the step is complete without the exchange
                logger.warning("%s", error)


def write_partition(exchange: Exchange, name: str, rows: pa.Table) -> ItemPartition:
    """Write some rows of `item_rows` to an exchange."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    exchange.write(f"{name}.rows.arrow", sink.getvalue().to_pybytes())
    return ItemPartition(exchange.url, name)
