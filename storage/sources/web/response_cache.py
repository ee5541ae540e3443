"""Responses of a metadata service, one file each: whoever asks again before they expire is answered from here."""

import hashlib
import json
import logging
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from storage.files import write_bytes_atomically, writing_to

logger = logging.getLogger("marquee.crawl")

FORMAT = "marquee-response/1"
MAX_BODY_BYTES = 8 << 20
STALE_DRAFT_SECONDS = 3600.0


class Response(NamedTuple):
    """What a service said to one question."""

    absent: bool  # it knows no such movie
    body: bytes
    fetched_at: datetime
    expires_at: datetime


class ResponseCache:
    """A folder of responses, for any number of reading and writing processes, also on a shared file system.

    Each file is a line with the SHA-256 of the rest, a line of JSON (format, key, absent, fetched_at, expires_at) and
    the body, deflated; it is written beside its place and renamed, so it is whole or not there, and two writers of one
    key just follow one another. Damage is a matter of single files: one that does not agree with its first line is
    removed with a warning, and its question is asked again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Where the response to `key` (method and URL, without secrets) stands, or will."""
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / name[:2] / f"{name[2:]}.response"

    def get(self, key: str, until: datetime) -> Response | None:
        """The response to `key`, if there is one that stays valid `until` then; expired ones are removed."""
        path = self.path(key)
        with writing_to(path):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                return None
            try:
                response = _parse(key, data)
            except (ValueError, KeyError, TypeError, RecursionError, zlib.error):
                logger.warning("%s: expected a %s file; it is damaged: removed, to be asked again.", path, FORMAT)
                path.unlink(missing_ok=True)
                return None
            if response.expires_at <= datetime.now(UTC):
                path.unlink(missing_ok=True)
        return response if response.expires_at >= until else None

    def put(self, key: str, response: Response) -> None:
        """Keep a response.

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
        """Remove all expired responses, as terms of use ask for, and remains of killed writers; returns how many."""
        removed, now = 0, datetime.now(UTC)
        with writing_to(self.folder):
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
                    path.unlink(missing_ok=True)
                    removed += 1
            for draft in self.folder.glob("??/.*.tmp"):
                if draft.stat().st_mtime < time.time() - STALE_DRAFT_SECONDS:
                    draft.unlink(missing_ok=True)
        return removed

    def state(self) -> str:
        """A hash of which responses stand here since when: changes with every answer."""
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
