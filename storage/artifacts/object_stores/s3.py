"""An S3-compatible object store that supports conditional writes."""

import mimetypes
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
)

from storage.errors import ObjectStoreCredentialsError, ObjectStoreError, UnsupportedObjectStoreError

CHUNK_BYTES = 1 << 20
BUSY_TRIES = 5
ABSENT = ("NoSuchKey", "404")
DENIED = {
    "403", "401", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
    "AuthorizationHeaderMalformed",
}  # fmt: skip


def open_uri(uri: str) -> "S3":
    """Open `s3://bucket/prefix`.

    The endpoint, the region and the credentials come from the environment or the configuration files that boto3 reads
    (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID …). They are never stored.

    Raises:
        ObjectStoreError: the URI has no bucket.
    """
    parsed = urlparse(uri)
    if len(parsed.netloc) < 3:
        raise ObjectStoreError(f"{uri}: expected s3://bucket/prefix with a bucket of 3 letters or more.")
    return S3(parsed.netloc, parsed.path.strip("/"))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


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
        self._probed = False
        with self._speaking("open"):
            self.client: Any = boto3.Session().client(
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

    @contextmanager
    def _speaking(self, key: str) -> Iterator[None]:
        """Turn boto3's errors into ours, without keys, secrets and signed headers in their messages."""
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError):
            raise ObjectStoreCredentialsError(
                f"{self.uri}: expected S3 credentials; found none. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            ) from None
        except ClientError as error:
            code = _code(error)
            if code in DENIED:
                raise ObjectStoreCredentialsError(
                    f"{self.uri}: expected credentials that may use this bucket; the store answered {code}. "
                    "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy."
                ) from None
            advice = "Create the bucket, or correct the URI." if code == "NoSuchBucket" else "Run again later."
            raise ObjectStoreError(
                f"{self.uri}/{key}: expected an answer; the store answered {code}. {advice}"
            ) from None
        except ConnectionError as error:
            raise ObjectStoreError(
                f"{self.uri}: expected an S3 endpoint that answers; found {type(error).__name__}. Check AWS_ENDPOINT_URL."
            ) from None
        except (BotoCoreError, ValueError) as error:
            raise ObjectStoreError(
                f"{self.uri}/{key}: {type(error).__name__}. Check AWS_ENDPOINT_URL and region."
            ) from None

    def _put(self, key: str, data: bytes, **condition: str) -> bool:
        """Store bytes; False if the condition does not hold (412). A busy key (409) is tried again."""
        for attempt in range(BUSY_TRIES):
            with self._speaking(key):
                try:
                    self.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=data, **condition)
                    return True
                except ClientError as error:
                    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                    if status == 412 or ("IfMatch" in condition and _code(error) in ABSENT):
                        return False
                    if status != 409:
                        raise
            time.sleep(0.05 * 2**attempt)
        raise ObjectStoreError(
            f"{self.uri}/{key}: expected to write; the store was busy (409) {BUSY_TRIES} times. Run again later."
        )

    def _require_conditions(self) -> None:
        """Test once whether the server honours both conditions, when they hold and when they do not.

        Raises:
            UnsupportedObjectStoreError: it does not.
        """
        if self._probed:
            return
        key = f".marquee-probe-{secrets.token_hex(8)}"
        try:
            first = self._put(key, b"1", IfNoneMatch="*")
            second = self._put(key, b"2", IfNoneMatch="*")
            present = self.get(key)
            etag = present[1] if present else ""
            right = self._put(key, b"3", IfMatch=etag)
            wrong = self._put(key, b"4", IfMatch="0" * 32)
        finally:
            with self._speaking(key):
                self.client.delete_object(Bucket=self.bucket, Key=self.prefix + key)
        if (first, second, right, wrong) != (True, False, True, False):
            raise UnsupportedObjectStoreError(
                f"{self.uri}: expected a store that honours If-None-Match and If-Match on PUT; this one ignores them. "
                "Publish to AWS S3, Ceph, MinIO or a folder instead."
            )
        self._probed = True

    def put_file(self, key: str, path: Path) -> None:
        """Store a file's bytes under a key; large files in parts. Browsers show a page by its content type."""
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        with self._speaking(key):
            self.client.upload_file(str(path), self.bucket, self.prefix + key, ExtraArgs={"ContentType": kind})

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store bytes only if the key is free; False if not."""
        self._require_conditions()
        return self._put(key, data, IfNoneMatch="*")

    def compare_and_swap(self, key: str, data: bytes, etag: str | None) -> bool:
        """Replace the bytes only if their etag is still `etag` (None: the key is free); False if not."""
        self._require_conditions()
        return self._put(key, data, IfNoneMatch="*") if etag is None else self._put(key, data, IfMatch=etag)

    def get(self, key: str) -> tuple[bytes, str] | None:
        """The bytes and their etag, without quotes since Ceph compares it so; or None."""
        with self._speaking(key):
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)
                return answer["Body"].read(), str(answer["ETag"]).strip('"')
            except ClientError as error:
                if _code(error) in ABSENT:
                    return None
                raise

    def size(self, key: str) -> int | None:
        """Bytes under the key, or None."""
        with self._speaking(key):
            try:
                return int(self.client.head_object(Bucket=self.bucket, Key=self.prefix + key)["ContentLength"])
            except ClientError as error:
                if _code(error) in ABSENT:
                    return None
                raise

    def download(self, key: str, path: Path) -> None:
        """Append to the file at `path` the rest of the object, by a range request."""
        have = path.stat().st_size if path.exists() else 0
        total = self.size(key)
        if total is None:
            raise ObjectStoreError(f"{self.uri}/{key}: expected an object; found none. Publish the artifact again.")
        if have >= total:
            path.touch()
            return
        with self._speaking(key):
            answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key, Range=f"bytes={have}-")
            with path.open("ab") as target:
                for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
                    target.write(chunk)

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`."""
        with self._speaking(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix
            )
            return sorted(entry["Key"][len(self.prefix) :] for page in pages for entry in page.get("Contents", []))
