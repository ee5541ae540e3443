"""A cache of the responses of a metadata service, one file per response, until they expire."""

import hashlib
import json
import logging
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from storage.drafts import sweep_drafts
from storage.files import write_bytes_atomically, writing_to

logger = logging.getLogger("marquee.crawl")

FORMAT = "marquee-response/1"
MAX_BODY_BYTES = 8 << 20


class Response(NamedTuple):
    """The response of a service to one query."""

    absent: bool  # the service does not know the movie
    body: bytes
    fetched_at: datetime
    expires_at: datetime


class ResponseCache:
    """A folder of responses for any number of reading and writing processes, also on a shared file system.

    A file has a line with the SHA-256 of the rest, a line of JSON (format, key, absent, fetched_at, expires_at) and the
    deflated body. It is written under a temporary name and renamed, so readers see a whole file or none; of two writers
    of one key the last one wins. A damaged file is removed with a warning, and its query is sent again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """The file of the response to `key` (method and URL, without secrets)."""
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / name[:2] / f"{name[2:]}.response"

    def get(self, key: str, until: datetime) -> Response | None:
        """The response to `key` if it stays valid until `until`, else None; an expired one is removed."""
        path = self.path(key)
        with writing_to(path):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                return None
            try:
                response = _parse(key, data)
            except (ValueError, KeyError, TypeError, RecursionError, zlib.error):
                logger.warning(
                    "%s: expected a %s file; it is damaged: removed, the query will be sent again.", path, FORMAT
                )
                path.unlink(missing_ok=True)
                return None
            if response.expires_at <= datetime.now(UTC):
                path.unlink(missing_ok=True)
        return response if response.expires_at >= until else None

    def put(self, key: str, response: Response) -> None:
        """Store a response.

        Raises:
            StorageFullError, StorageUnwritableError: see `storage.files.writing_to`.
        """
        head = {
            "format": FORMAT,
            "key": key,
            "absent": response.absent,
            "fetched_at": response.fetched_at.isoformat(),
            "expires_at": response.expires_at.isoformat(),
        }
        rest = json.dumps(head).encode() + b"\n" + zlib.compress(response.body)
        path = self.path(key)
        with writing_to(path):
            write_bytes_atomically(path, hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)

    def purge(self) -> int:
        """Remove expired responses, as the terms of use demand, and drafts of killed writers; returns the number of responses."""
        with writing_to(self.folder):
            expired = self.expired()
            for path in expired:
                path.unlink(missing_ok=True)
            for folder in self.folder.glob("??"):
                sweep_drafts(folder)
        return len(expired)

    def expired(self) -> list[Path]:
        """The files of responses that have expired or cannot be read."""
        found, now = [], datetime.now(UTC)
        for path in self.folder.glob("??/*.response"):
            try:
                with path.open("rb") as stream:
                    stream.readline()
                    expired = datetime.fromisoformat(json.loads(stream.readline())["expires_at"]) <= now
            except (ValueError, KeyError, TypeError, RecursionError):
                expired = True
            except FileNotFoundError:
                continue
            if expired:
                found.append(path)
        return found

    def state(self) -> str:
        """A hash of the names and times of all responses; it changes with every new response."""
        entries = sorted((path.name, path.stat().st_mtime_ns) for path in self.folder.glob("??/*.response"))
        return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


def _parse(key: str, data: bytes) -> Response:
    checksum, _, rest = data.partition(b"\n")
    if hashlib.sha256(rest).hexdigest().encode() != checksum:
        raise ValueError("not the bytes that were written")
    line, _, packed = rest.partition(b"\n")
    head = json.loads(line)
    if head["format"] != FORMAT or head["key"] != key:
        raise ValueError("another format or question")
    body = zlib.decompressobj().decompress(packed, MAX_BODY_BYTES)
    fetched, expires = datetime.fromisoformat(head["fetched_at"]), datetime.fromisoformat(head["expires_at"])
    return Response(head["absent"], body, fetched, expires)
