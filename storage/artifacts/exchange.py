"""A folder or bucket through which the processes of one distributed job pass files, each with a checksum."""

import hashlib
import io
import secrets
from typing import Any

import fsspec
import numpy as np
from numpy.typing import NDArray

from storage.errors import MarqueeError

CHECKSUM_BYTES = 32
# These stores show an object only when it is complete; elsewhere a blob is written under another name and renamed.
ATOMIC_PUT = {"s3", "s3a", "gs", "gcs", "az", "abfs", "memory"}


class ExchangeError(MarqueeError):
    """The shared folder or bucket cannot be used, or other processes see another one."""


class Exchange:
    """Named blobs in a folder or bucket.

    Each blob is stored with its SHA-256; a blob that is incomplete or damaged counts as missing.

    Args:
        url: an fsspec URL, `file:///shared/folder` or `s3://bucket/prefix`; credentials come from the environment.

    Raises:
        ExchangeError: the URL's protocol is unknown or its package is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            # fsspec would reuse a file system with the endpoint and credentials of an earlier environment.
            self.files, self.folder = fsspec.core.url_to_fs(
                self.url, use_listings_cache=False, skip_instance_cache=True
            )
        except (ImportError, ValueError) as error:
            raise ExchangeError(
                f"{self.url}: expected an fsspec URL such as file:///shared/folder or s3://bucket/prefix; "
                f"found {type(error).__name__}: the protocol is unknown or its package is not installed. Install it or correct the URL."
            ) from error
        protocols = (self.files.protocol,) if isinstance(self.files.protocol, str) else self.files.protocol
        self.atomic_put = not ATOMIC_PUT.isdisjoint(protocols)

    def write(self, name: str, blob: bytes) -> None:
        """Write a blob; readers see all of it or nothing.

        Raises:
            ExchangeError: the folder or bucket cannot be written.
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
        except Exception as error:  # every file system raises its own errors
            raise self._unusable("written", error) from error

    def read(self, name: str) -> bytes | None:
        """Read a blob; None if it is missing, incomplete or damaged.

        Raises:
            ExchangeError: the folder or bucket cannot be read.
        """
        try:
            data: bytes = self.files.cat_file(f"{self.folder}/{name}")
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._unusable("read", error) from error
        blob, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
        return blob if hashlib.sha256(blob).digest() == checksum else None

    def need(self, name: str) -> bytes:
        """Read a blob that another process has written.

        Raises:
            ExchangeError: it is missing or damaged, or the folder or bucket cannot be read.
        """
        blob = self.read(name)
        if blob is None:
            raise ExchangeError(
                f"{self.url}: expected {name}, which another process has written; found none. The exchange must be a folder or "
                "bucket that the client and all workers share."
            )
        return blob

    def write_array(self, name: str, array: NDArray[Any]) -> None:
        """Write an array as .npy; raises as `write`."""
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=False)
        self.write(name, stream.getvalue())

    def read_array(self, name: str) -> NDArray[Any] | None:
        """Read an array; None and errors as of `read`."""
        blob = self.read(name)
        return None if blob is None else np.load(io.BytesIO(blob), allow_pickle=False)

    def need_array(self, name: str) -> NDArray[Any]:
        """Read an array that another process has written; raises as `need`."""
        array: NDArray[Any] = np.load(io.BytesIO(self.need(name)), allow_pickle=False)
        return array

    def remove(self) -> None:
        """Remove all blobs and the folder, if there are any.

        Raises:
            ExchangeError: the folder or bucket cannot be emptied.
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
