"""A folder as an object store."""

import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlparse

from storage.errors import ObjectStoreError
from storage.files import replacing, write_bytes_atomically, writing_to


def open_uri(uri: str) -> "LocalFolder":
    """Open `file:///folder` or a path."""
    return LocalFolder(Path(unquote(urlparse(uri).path) if "://" in uri else uri))


class LocalFolder:
    """A folder; conditional writes hold the lock of one file.

    Args:
        root: the folder; it is made by the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.uri = self.root.as_uri()

    def _path(self, key: str) -> Path:
        path = self.root / key
        if ".." in Path(key).parts:
            raise ObjectStoreError(
                f"{key}: expected a key in the store's folder; found one that leaves it. Use a key without .. in it."
            )
        return path

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with writing_to(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            with (self.root / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield

    def put_file(self, key: str, path: Path) -> None:
        """Store a file's bytes under a key, completely or not at all."""
        with writing_to(self.root), replacing(self._path(key)) as temporary:
            shutil.copyfile(path, temporary)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store bytes only if the key is free; False if not."""
        return self.compare_and_swap(key, data, None)

    def compare_and_swap(self, key: str, data: bytes, etag: str | None) -> bool:
        """Replace the bytes only if their etag is still `etag` (None: the key is free); False if not."""
        with self._lock():
            present = self.get(key)
            if (present[1] if present else None) != etag:
                return False
            write_bytes_atomically(self._path(key), data)
            return True

    def get(self, key: str) -> tuple[bytes, str] | None:
        """The bytes and their SHA-256 as the etag, or None."""
        try:
            data = self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return data, hashlib.sha256(data).hexdigest()

    def size(self, key: str) -> int | None:
        """Bytes under the key, or None."""
        path = self._path(key)
        return path.stat().st_size if path.is_file() else None

    def download(self, key: str, path: Path) -> None:
        """Append to the file at `path` the rest of the object, from the file's length on."""
        source_path = self._path(key)
        if not source_path.is_file():
            raise ObjectStoreError(f"{self.uri}/{key}: expected an object; found none. Publish the artifact again.")
        with source_path.open("rb") as source, path.open("ab") as target:
            source.seek(target.tell())
            shutil.copyfileobj(source, target)

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`."""
        found = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
        whole = (path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
        return sorted(key for key in whole if key.startswith(prefix))
