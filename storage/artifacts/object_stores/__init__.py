"""Places that artifacts are published to: a folder, or an S3-compatible object store; one file and one line each."""

import importlib
from pathlib import Path
from typing import Protocol, cast

from storage.errors import ObjectStoreError

# By the scheme of a URI: the module of this package whose `open_uri` opens it. A module is imported when it is needed.
STORES = {"": "folder", "file": "folder", "s3": "s3"}
DOCUMENT_BYTES = 4 << 20  # the most that a manifest or an alias may have


class ObjectStore(Protocol):
    """Bytes under keys, with the conditional write that immutable artifacts and movable aliases need."""

    uri: str

    def probe(self) -> str:
        """Test whether artifacts can be published here; returns how writes are made safe.

        Raises:
            ObjectStoreError, StorageUnwritableError: they cannot.
        """
        ...

    def put_file(self, key: str, path: Path, sha256: str) -> None:
        """Store a file's bytes under a key.

        Args:
            key: what the bytes are stored under; bytes that are there already are replaced.
            path: the file.
            sha256: hex SHA-256 of its bytes; a store that can compare it with the bytes that arrive refuses others.
        """
        ...

    def compare_and_swap(self, key: str, data: bytes, etag: str | None) -> bool:
        """Replace the bytes only if their etag is still `etag` (None: the key is free); False if not."""
        ...

    def get(self, key: str) -> tuple[bytes, str] | None:
        """The bytes of a document, `DOCUMENT_BYTES` + 1 at most, and their etag; None if there are none."""
        ...

    def holds(self, key: str, size: int, sha256: str) -> bool:
        """Whether the bytes under the key have this size and SHA-256; they are read unless the store knows their hash."""
        ...

    def download(self, key: str, path: Path, size: int) -> None:
        """Append to the file at `path` the rest of the object, from the file's length on; stop at `size` bytes.

        Raises:
            ArtifactDamagedError: there is no object, or it has another size.
        """
        ...

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`, sorted."""
        ...


def open_store(uri: str) -> ObjectStore:
    """Open the store behind a URI or a path.

    Args:
        uri: `s3://bucket/prefix`, `file:///folder` or a path.

    Raises:
        ObjectStoreError: the scheme is unknown, or the URI is incomplete.
    """
    scheme = uri.partition("://")[0] if "://" in uri else ""
    if scheme not in STORES:
        known = ", ".join(f"{name}://" for name in STORES if name)
        raise ObjectStoreError(f"{uri}: expected a path or one of {known}; found {scheme}://. Use one of these.")
    module = importlib.import_module(f"{__name__}.{STORES[scheme]}")
    return cast(ObjectStore, module.open_uri(uri))
