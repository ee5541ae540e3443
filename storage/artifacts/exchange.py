"""A folder or bucket that the processes of one distributed job share: whole, checked blobs under given names."""

import hashlib
import secrets

import fsspec

from storage.errors import MarqueeError

CHECKSUM_BYTES = 32
# Object stores show a blob when it is whole; everywhere else a rename makes it so.
ATOMIC_PUT = {"s3", "s3a", "gs", "gcs", "az", "abfs", "memory"}


class ExchangeError(MarqueeError):
    """The shared folder or bucket cannot be used, or is not the one that the others see."""


class Exchange:
    """Named blobs below an fsspec URL (`file:///shared/folder`, `s3://bucket/prefix`); credentials by environment.

    Every blob is followed by its SHA-256, so that a torn, foreign or rotten one reads as a missing one.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            # A cached file system would keep the endpoint and credentials that the environment had before.
            self.files, self.folder = fsspec.core.url_to_fs(
                self.url, use_listings_cache=False, skip_instance_cache=True
            )
        except (ImportError, ValueError) as error:
            raise ExchangeError(
                f"{self.url}: expected an fsspec URL such as file:///shared/folder or s3://bucket/prefix; "
                f"found {type(error).__name__}: its protocol is unknown or its package is not installed."
            ) from error
        protocols = (self.files.protocol,) if isinstance(self.files.protocol, str) else self.files.protocol
        self.atomic_put = not ATOMIC_PUT.isdisjoint(protocols)

    def write(self, name: str, blob: bytes) -> None:
        """Write a blob so that readers see all of it or none.

        Raises:
            ExchangeError: the place cannot be written.
        """
        path, data = f"{self.folder}/{name}", blob + hashlib.sha256(blob).digest()
        try:
            if self.atomic_put:
                self.files.pipe_file(path, data)
                return
            self.files.makedirs(self.folder, exist_ok=True)
            temporary = f"{self.folder}/.{name}.{secrets.token_hex(4)}.tmp"
            self.files.pipe_file(temporary, data)
            self.files.mv(temporary, path)
        except Exception as error:  # each file system has errors of its own
            raise self._unusable("written", error) from error

    def read(self, name: str) -> bytes | None:
        """The blob, or None where it is missing or not whole.

        Raises:
            ExchangeError: the place cannot be read.
        """
        try:
            data: bytes = self.files.cat_file(f"{self.folder}/{name}")
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._unusable("read", error) from error
        blob, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
        return blob if hashlib.sha256(blob).digest() == checksum else None

    def remove(self) -> None:
        """Remove all blobs, and the folder; content if there are none.

        Raises:
            ExchangeError: the place cannot be emptied.
        """
        try:
            self.files.rm(self.folder, recursive=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._unusable("emptied", error) from error

    def _unusable(self, act: str, error: Exception) -> ExchangeError:
        return ExchangeError(
            f"{self.url}: expected a folder or bucket that can be {act}; found {type(error).__name__}. "
            "Check the address, its permissions, and the credentials in the environment (for S3 AWS_ACCESS_KEY_ID …)."
        )
