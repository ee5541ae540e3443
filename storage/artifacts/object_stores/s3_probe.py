"""Whether an S3 server honours the conditions of writes, and whether it compares the bytes that arrive with a checksum."""

from typing import Protocol

from storage.errors import ObjectStoreError, UnsupportedObjectStoreError

# One key with constant bytes: nobody has to delete it, and processes that probe at once do not disturb each other.
PROBE = ".marquee-probe"
BODY = b"Marquee tests here whether this store honours conditional writes. Any process may write it again.\n"
TRIES = 5


class Probed(Protocol):
    """What a probe asks of a store."""

    uri: str

    def get(self, key: str) -> tuple[bytes, str] | None:
        """See `ObjectStore.get`."""
        ...

    def put(self, key: str, data: bytes, **condition: str) -> bool:
        """Store bytes; False if the condition does not hold."""
        ...

    def refuses(self, key: str, data: bytes, sha256: str) -> bool:
        """Whether the store refuses bytes that have another SHA-256."""
        ...


def probe(store: Probed) -> bool:
    """Test whether the store honours both conditions, when they hold and when they do not.

    Only a definite answer counts. An answer that was lost, and a write of another process in between, lead to another try.

    Returns: whether the store refuses bytes whose checksum is wrong; only then is a checksum that it states believed.

    Raises:
        UnsupportedObjectStoreError: it ignores a condition, or refuses one that holds.
        ObjectStoreError: it gave no definite answer.
    """
    for _ in range(TRIES):
        found = store.get(PROBE)
        if found is None:
            store.put(PROBE, BODY, IfNoneMatch="*")  # False: another process was first
            continue
        etag = found[1]
        if store.put(PROBE, BODY, IfNoneMatch="*") or store.put(PROBE, BODY, IfMatch="0" * 32):
            raise UnsupportedObjectStoreError(
                f"{store.uri}: expected a store that honours If-None-Match and If-Match on PUT; this one ignores them. "
                "Publish to AWS S3, Ceph, MinIO or a folder instead."
            )
        if store.put(PROBE, BODY, IfMatch=etag):
            return store.refuses(PROBE, BODY, "0" * 64)
        if (again := store.get(PROBE)) is not None and again[1] == etag:
            raise UnsupportedObjectStoreError(
                f"{store.uri}: expected a store that honours If-Match on PUT; this one refuses the right ETag. "
                "Publish to AWS S3, Ceph, MinIO or a folder instead."
            )
    raise ObjectStoreError(
        f"{store.uri}/{PROBE}: expected to learn whether the store honours conditional writes; {TRIES} tries gave no "
        "definite answer. Run again later."
    )
