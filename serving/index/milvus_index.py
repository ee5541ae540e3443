"""Items in Milvus (Wang et al. 2021): Milvus Lite in a file of its own, or a server.

A server's address comes from the caller, its token from MARQUEE_MILVUS_TOKEN; both are in no file.
"""

import hashlib
import os
import re
import secrets
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Self

import numpy as np
from milvus_lite.server_manager import server_manager_instance
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from serving.index.errors import IndexFileError
from serving.index.item_index import ApproximateIndex, Floats
from serving.index.params import StoredIndex

TOKEN = "MARQUEE_MILVUS_TOKEN"  # noqa: S105
ROWS = 2000  # vectors in one request
LIMIT = 16_384  # neighbours that Milvus returns at most


FILE = "milvus.db"


class MilvusIndex(ApproximateIndex):
    """The vectors are a collection whose primary key is the item index."""

    def __init__(self, vectors: Floats, stored: StoredIndex, client: MilvusClient) -> None:
        super().__init__(vectors, stored.measure)
        self.client, self.collection = client, filled_collection(client, vectors, stored)
        self.factory, self.effort = stored.params.factory, stored.params.effort

    @classmethod
    def build(cls, folder: Path, vectors: Floats, stored: StoredIndex) -> Self:
        """See `VectorIndex`; the file is milvus.db."""
        writer = connect(str(folder / FILE))
        filled_collection(writer, vectors, stored)
        end_lite(writer, folder / FILE)
        return cls.open(folder, vectors, stored)

    @classmethod
    def open(cls, folder: Path, vectors: Floats, stored: StoredIndex) -> Self:
        """See `VectorIndex`."""
        return cls(vectors, stored, opened_copy(folder / FILE))

    @classmethod
    def on_server(cls, uri: str, vectors: Floats, stored: StoredIndex) -> Self:
        """Search with a Milvus server; if it does not have the vectors, it gets them.

        Raises:
            IndexFileError: the address is not of a server, or the server cannot be reached.
        """
        if not re.fullmatch(r"https?://[^@]+", uri):
            raise IndexFileError(
                f"milvus_uri: expected http://host:port or https://host:port without a password; found another address. Put "
                f"the token into {TOKEN}."
            )
        return cls(vectors, stored, connect(uri))

    def neighbours(self, vectors: Floats, count: int) -> NDArray[np.int64]:
        """See `ApproximateIndex`; at most 16,384."""
        count = min(count, LIMIT)
        effort = {"HNSW": {"ef": max(self.effort, count)}, "IVF_FLAT": {"nprobe": self.effort}}.get(self.factory, {})
        try:
            hits = self.client.search(
                self.collection, data=list(vectors), limit=count, search_params={"params": effort}
            )
        except MilvusException as error:
            raise IndexFileError(
                f"{self.collection}: expected an answer of Milvus; found {str(error)[:200]}. Check the server, and search again."
            ) from error
        items = np.full((len(vectors), count), -1, dtype=np.int64)
        for row, found in zip(items, hits, strict=True):
            row[: len(found)] = [hit["item"] for hit in found]
        return items


def connect(uri: str) -> MilvusClient:
    """Connect to a server, or open a file of Milvus Lite.

    Raises:
        IndexFileError: there is no server, it refuses the token, or the file is damaged.
    """
    try:
        return MilvusClient(uri, token=os.environ.get(TOKEN, "")) if "://" in uri else MilvusClient(uri)
    except MilvusException as error:
        raise IndexFileError(
            f"{uri}: expected a Milvus server, or a file of Milvus Lite; found {str(error)[:200]}. Check the address, and "
            f"{TOKEN} if the server wants a token."
        ) from error


def filled_collection(client: MilvusClient, vectors: Floats, stored: StoredIndex) -> str:
    """Make the collection of vectors (I, D), unless it is there; returns its name, which is a digest of what it holds.

    It is filled under a name of this call and then renamed, so that another process sees all of it or nothing.

    Raises:
        IndexFileError: Milvus refuses it, for example because it knows no such kind of index.
    """
    what = hashlib.sha256(np.ascontiguousarray(vectors).data)
    what.update(f"{vectors.shape} {stored.measure} {stored.params.factory}".encode())
    name = f"marquee_{what.hexdigest()[:24]}"
    try:
        if not client.has_collection(name):
            draft = f"{name}_{secrets.token_hex(8)}"
            fill(client, draft, vectors, stored)
            rename(client, draft, name)
        client.load_collection(name)
    except MilvusException as error:
        raise IndexFileError(
            f"index: expected an index type of Milvus, such as FLAT, IVF_FLAT or HNSW; found {stored.params.factory!r}: "
            f"{str(error)[:200]}. Choose one of these."
        ) from error
    return name


def fill(client: MilvusClient, collection: str, vectors: Floats, stored: StoredIndex) -> None:
    """Make a collection of vectors (I, D)."""
    factory = stored.params.factory
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("item", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    params = client.prepare_index_params()
    build = {"HNSW": {"M": 32, "efConstruction": 200}, "IVF_FLAT": {"nlist": max(int(len(vectors) ** 0.5), 1)}}
    metric = "L2" if stored.measure == "euclidean" else "IP"
    params.add_index("vector", index_type=factory, metric_type=metric, params=build.get(factory, {}))
    client.create_collection(collection, schema=schema, index_params=params)
    for first in range(0, len(vectors), ROWS):
        rows = vectors[first : first + ROWS]
        client.insert(collection, [{"item": first + row, "vector": vector} for row, vector in enumerate(rows)])
    client.flush(collection)


def rename(client: MilvusClient, draft: str, name: str) -> None:
    """Give a collection its name; if another process was first, the draft goes, because theirs holds the same."""
    try:
        client.rename_collection(draft, name)
    except MilvusException:
        client.drop_collection(draft)
        if not client.has_collection(name):
            raise


def opened_copy(path: Path) -> MilvusClient:
    """Open a copy of a file of Milvus Lite, because one process at a time can open it; the copy goes when the client goes.

    Raises:
        IndexFileError: it is missing or damaged.
    """
    if not path.exists():
        raise IndexFileError(f"{path}: expected a file of Milvus Lite; found none. Build the index again.")
    folder = Path(tempfile.mkdtemp(prefix="marquee-milvus-"))
    copy = folder / path.name
    try:
        shutil.copytree(path, copy) if path.is_dir() else shutil.copy2(path, copy)
        client = connect(str(copy))
    except BaseException:
        remove(copy)
        raise
    weakref.finalize(client, remove, copy)
    return client


def remove(copy: Path) -> None:
    """End Milvus Lite on a copy, and remove the copy."""
    server_manager_instance.release_server(str(copy))
    shutil.rmtree(copy.parent, ignore_errors=True)


def end_lite(client: MilvusClient, path: Path) -> None:
    """End Milvus Lite on a file, when all is written: it builds indexes in the background."""
    client.close()
    server_manager_instance.release_server(str(path))
