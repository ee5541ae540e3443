"""An S3-compatible object store that supports conditional writes.

docs/security.md lists the calls that are made here, and the rights that they need. Nothing is ever deleted.
"""

import base64
import hashlib
import logging
import mimetypes
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlparse

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, IncompleteReadError

from storage.artifacts.object_stores import DOCUMENT_BYTES
from storage.artifacts.object_stores.s3_answers import (
    ABSENT,
    BROKEN_BODY,
    PAGE_BYTES,
    code_of,
    keep_page,
    not_s3,
    status_of,
    translating,
)
from storage.artifacts.object_stores.s3_probe import probe
from storage.errors import ArtifactDamagedError, ObjectStoreCredentialsError, ObjectStoreError

logger = logging.getLogger("marquee.publishing")
CHUNK_BYTES = 1 << 20
SINGLE_PUT_BYTES = 1 << 30  # larger files are sent in parts; S3 takes 5 GiB at once
BUSY_TRIES = 5
BODY_TRIES = 4  # in a row that bring no bytes
MAX_REQUESTS = 100  # for one object

T = TypeVar("T")


def open_uri(uri: str) -> "S3":
    """Open `s3://bucket/prefix`.

    The endpoint, the region and the credentials come from the environment or the configuration files that boto3 reads
    (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID …). They are never stored.

    Raises:
        ObjectStoreError: the URI has no bucket.
    """
    parsed = urlparse(uri)
    if "@" in parsed.netloc:
        raise ObjectStoreError(
            f"s3://…@{parsed.netloc.rpartition('@')[2]}: expected no credentials in the URI; found some. Set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY."
        )
    if len(parsed.netloc) < 3:
        raise ObjectStoreError(
            f"{uri}: expected s3://bucket/prefix with a bucket of 3 letters or more; found another form. Correct the URI."
        )
    return S3(parsed.netloc, parsed.path.strip("/"))


def _base64(sha256: str) -> str:
    return base64.b64encode(bytes.fromhex(sha256)).decode()


class S3:
    """A bucket with a prefix for all keys; a server that ignores conditional writes is refused.

    Args:
        bucket: its name.
        prefix: what all keys begin with; may be empty.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self.session = boto3.Session()
        self._checks: bool | None = None  # whether the server compares bytes with their checksum; None: not probed yet
        with self._translating("open"):
            self.client: Any = self.session.client(
                "s3",
                config=Config(
                    s3={"addressing_style": "path"},
                    retries={"mode": "standard", "max_attempts": 4},
                    connect_timeout=10,
                    # Older servers refuse the checksum trailers that newer versions of boto3 send by default.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
        self.client.meta.events.register("before-parse.s3", keep_page)

    @contextmanager
    def _translating(self, key: str) -> Iterator[None]:
        with translating(self.uri, key, self.session):
            yield

    def _call(self, operation: str, key: str, **more: Any) -> dict[str, Any] | None:
        """Send a request about one key; None if there is no such key. Answers about a key that is there have an ETag."""
        try:
            answer: dict[str, Any] = getattr(self.client, operation)(Bucket=self.bucket, Key=self.prefix + key, **more)
        except ClientError as error:
            if code_of(error) in ABSENT and "Page" not in error.response:
                return None
            raise
        if "ETag" not in answer:
            page = answer["Body"].read(PAGE_BYTES) if "Body" in answer else answer.get("Page", b"")
            raise not_s3(f"{self.uri}/{key}", page, self.session)
        return answer

    def _persist(self, key: str, attempt: Callable[[], T], have: Callable[[], int] = lambda: 0) -> T:
        """The result of reading an object, which is tried again if the connection breaks amid it; `have` counts bytes."""
        with self._translating(key):
            failures = 0
            for request in range(1, MAX_REQUESTS + 1):
                before = have()
                try:
                    return attempt()
                except BROKEN_BODY as error:
                    failures = 1 if have() > before else failures + 1
                    if failures == BODY_TRIES or request == MAX_REQUESTS:
                        raise
                    logger.warning("%s/%s: %s; going on from %d bytes", self.uri, key, type(error).__name__, have())
                    time.sleep(0.1 * 2**failures)
        raise AssertionError("the last try returns or raises")

    def put(self, key: str, data: bytes, **condition: str) -> bool:
        """Store bytes; False if the condition does not hold (412). A busy key (409) is tried again."""
        checksum = self._checksum(hashlib.sha256(data).hexdigest())
        for attempt in range(BUSY_TRIES):
            with self._translating(key):
                try:
                    return self._call("put_object", key, Body=data, **checksum, **condition) is not None
                except ClientError as error:
                    if status_of(error) == 412:
                        return False
                    if status_of(error) != 409:
                        raise
            time.sleep(0.05 * 2**attempt)
        raise ObjectStoreError(
            f"{self.uri}/{key}: expected to write; the store was busy (409) {BUSY_TRIES} times. Run again later."
        )

    def refuses(self, key: str, data: bytes, sha256: str) -> bool:
        """Whether the store refuses bytes that have another SHA-256."""
        with self._translating(key):
            try:
                self._call("put_object", key, Body=data, **self._checksum(sha256))
            except ClientError as error:
                if status_of(error) == 400:
                    return True
                raise
            return False

    @staticmethod
    def _checksum(sha256: str) -> dict[str, str]:
        return {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": _base64(sha256)}

    def _checks_checksums(self) -> bool:
        """Probe the server once; see `probe`."""
        if self._checks is None:
            self._checks = probe(self)
        return self._checks

    def probe(self) -> str:
        """Test whether the server honours conditional writes, and whether it compares checksums."""
        checks = self._checks_checksums()
        return f"honours conditional writes; {'compares checksums' if checks else 'checksums are compared by reading back'}"

    def put_file(self, key: str, path: Path, sha256: str) -> None:
        """Store a file's bytes under a key; large files in parts. Browsers show a page by its content type."""
        self._checks_checksums()
        kind = {"ContentType": mimetypes.guess_type(path.name)[0] or "application/octet-stream"}
        with self._translating(key):
            if path.stat().st_size > SINGLE_PUT_BYTES:
                self.client.upload_file(str(path), self.bucket, self.prefix + key, ExtraArgs=kind)
                return
            with path.open("rb") as body:
                self._call("put_object", key, Body=body, **kind, **self._checksum(sha256))

    def compare_and_swap(self, key: str, data: bytes, etag: str | None) -> bool:
        """Replace the bytes only if their etag is still `etag` (None: the key is free); False if not."""
        self._checks_checksums()
        return self.put(key, data, IfNoneMatch="*") if etag is None else self.put(key, data, IfMatch=etag)

    def get(self, key: str) -> tuple[bytes, str] | None:
        """The bytes of a document and their etag, without quotes since Ceph compares it so; None if there are none."""

        def read() -> tuple[bytes, str] | None:
            answer = self._call("get_object", key)
            if answer is None:
                return None
            with closing(answer["Body"]) as body:
                data = b""
                while len(data) <= DOCUMENT_BYTES and (chunk := body.read(CHUNK_BYTES)):
                    data += chunk
                return data[: DOCUMENT_BYTES + 1], str(answer["ETag"]).strip('"')

        return self._persist(key, read)

    def holds(self, key: str, size: int, sha256: str) -> bool:
        """Whether the bytes have this size and hash: as the store states, if it compares checksums, else by reading them."""
        with self._translating(key):
            head = self._call("head_object", key, ChecksumMode="ENABLED")
        if head is None or head["ContentLength"] != size:
            return False
        stated = head.get("ChecksumSHA256", "-")  # the hash of an object in parts has a dash, and is one of hashes
        try:
            if "-" not in stated and self._checks_checksums():
                return bool(stated == _base64(sha256))
        except ObjectStoreCredentialsError:
            pass  # whoever may not write cannot probe

        def read() -> bool:
            answer, found, left = self._call("get_object", key), hashlib.sha256(), size
            if answer is None:
                return False
            with closing(answer["Body"]) as body:
                while left >= 0 and (chunk := body.read(CHUNK_BYTES)):
                    found.update(chunk)
                    left -= len(chunk)
            return found.hexdigest() == sha256

        return self._persist(key, read)

    def download(self, key: str, path: Path, size: int) -> None:
        """Append to the file at `path` the rest of the object, by range requests; stop at `size` bytes."""

        def have() -> int:
            return path.stat().st_size if path.exists() else 0

        self._persist(key, lambda: self._receive(key, path, have(), size), have)

    def _receive(self, key: str, path: Path, have: int, size: int) -> None:
        """Complete the file with one request; a server that cannot go on from its end sends all of it again."""
        if have >= size:
            path.touch()
            return
        asked = {"Range": f"bytes={have}-{size - 1}"} if have else {}
        try:
            answer = self._call("get_object", key, **asked)
        except ClientError as error:
            if status_of(error) != 416 or not have:
                raise
            answer = self._call("get_object", key)
        if answer is None:
            raise ArtifactDamagedError(f"{self.uri}/{key}: expected an object; found none. Publish the artifact again.")
        with closing(answer["Body"]) as body:
            told = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.get("ContentRange", ""))
            start, total = (int(told[1]), int(told[2])) if told else (0, answer.get("ContentLength", size))
            if total != size or start not in (0, have):
                raise ArtifactDamagedError(
                    f"{self.uri}/{key}: expected {size:,} bytes, from {have:,} on; found {total:,}, from {start:,} on. "
                    "Publish the artifact again."
                )
            with path.open("ab" if start else "wb") as target:
                for chunk in body.iter_chunks(CHUNK_BYTES):
                    start += len(chunk)
                    if start > size:
                        raise ArtifactDamagedError(
                            f"{self.uri}/{key}: expected {size:,} bytes; found more. Publish the artifact again."
                        )
                    target.write(chunk)
        if start < size:
            raise IncompleteReadError(actual_bytes=start, expected_bytes=size)

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`."""
        with self._translating(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix
            )
            found = []
            for page in pages:
                if "Name" not in page:
                    raise not_s3(f"{self.uri}/{prefix}", page.get("Page", b""), self.session)
                found += [entry["Key"][len(self.prefix) :] for entry in page.get("Contents", [])]
            return sorted(found)
