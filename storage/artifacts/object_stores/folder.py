"""A folder as an object store."""

import hashlib
import os
import shutil
from pathlib import Path
from urllib.parse import unquote, urlparse

from storage.artifacts.object_stores import DOCUMENT_BYTES
from storage.drafts import draft_beside
from storage.errors import ArtifactDamagedError, ObjectStoreError
from storage.files import locked, replacing, sha256_file, write_bytes_atomically, writing_to

CHUNK_BYTES = 1 << 20


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

    def probe(self) -> str:
        """Test whether this user can write to the folder and lock a file there; nothing is left."""
        with writing_to(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            with locked(self.root / ".lock"), draft_beside(self.root / "probe") as temporary:
                temporary.write_bytes(b"1")
        return "writes hold a lock"

    def put_file(self, key: str, path: Path, sha256: str) -> None:
        """Store a file's bytes under a key, completely or not at all."""
        with writing_to(self.root), replacing(self._path(key)) as temporary:
            shutil.copyfile(path, temporary)

    def compare_and_swap(self, key: str, data: bytes, etag: str | None) -> bool:
        """Replace the bytes only if their etag is still `etag` (None: the key is free); False if not."""
        with writing_to(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            with locked(self.root / ".lock"):
                present = self.get(key)
                if (present[1] if present else None) != etag:
                    return False
                write_bytes_atomically(self._path(key), data)
                return True

    def get(self, key: str) -> tuple[bytes, str] | None:
        """The bytes of a document, `DOCUMENT_BYTES` + 1 at most, and their SHA-256 as the etag; None if there are none."""
        try:
            with self._path(key).open("rb") as stream:
                data = stream.read(DOCUMENT_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return data, hashlib.sha256(data).hexdigest()

    def holds(self, key: str, size: int, sha256: str) -> bool:
        """Whether the file under the key has this size and SHA-256."""
        path = self._path(key)
        return path.is_file() and path.stat().st_size == size and sha256_file(path) == sha256

    def download(self, key: str, path: Path, size: int) -> None:
        """Append to the file at `path` the rest of the object, from the file's length on; stop at `size` bytes."""
        source_path = self._path(key)
        if not source_path.is_file():
            raise ArtifactDamagedError(f"{self.uri}/{key}: expected an object; found none. Publish the artifact again.")
        with source_path.open("rb") as source, path.open("ab") as target:
            found = os.fstat(source.fileno()).st_size
            if found != size:
                raise ArtifactDamagedError(
                    f"{self.uri}/{key}: expected {size:,} bytes; found {found:,}. Publish the artifact again."
                )
            source.seek(target.tell())
            while chunk := source.read(max(0, min(CHUNK_BYTES, size - source.tell()))):
                target.write(chunk)

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`."""
        found = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
        whole = (path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
        return sorted(key for key in whole if key.startswith(prefix))
