"""Downloads releases: resumed after a broken connection, and checked against the published hash before they get their name."""

import hashlib
import json
import logging
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx

from storage.errors import DownloadError, StorageFullError
from storage.files import fsync_path, kind_of, locked, write_bytes_atomically, writing_to

logger = logging.getLogger("marquee.ingest")

BASE_URL = "https://files.grouplens.org/datasets/movielens"
# The releases by name, with the MD5 that GroupLens publishes as <name>.zip.md5; None: the release changes, so its MD5 is
# fetched before each use.
RELEASES: dict[str, str | None] = {
    "ml-latest-small": None,
    "ml-100k": "0e33842e24a9c977be4e0107933c0723",
    "ml-1m": "c4d9eecfca2ab87c1945afe126590906",
    "ml-10m": "ce571fd55effeba0271552578f2648bd",
    "ml-20m": "cd245b17a1ae2cc31bb14903e1204af3",
    "ml-25m": "6b51fb2759a8657d3bfcbfc42b592ada",
    "ml-32m": "d472be332d4daa821edc399621853b57",
    "ml-latest": None,
}
MAX_BYTES = 4 << 30
MAX_REQUESTS = 100  # in all; `attempts` bounds those in a row that received nothing
MAX_WAIT_SECONDS = 60.0
OFFLINE = "Without internet, give the folder of an unpacked release or its .zip file instead of a name."

Progress = Callable[[int, int | None], None]
Answer = TypeVar("Answer")


class _PassingError(Exception):
    """A failure that may not happen again at the next request."""

    def __init__(self, reason: str, wait_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


def fetch_release(
    name: str,
    into: Path,
    *,
    base_url: str = BASE_URL,
    client: httpx.Client | None = None,
    progress: Progress | None = None,
    attempts: int = 5,
    backoff_seconds: float = 1.0,
) -> Path:
    """Download <name>.zip into a folder unless it is there and whole.

    Bytes are written to <name>.zip.part. An interrupted download continues where it stopped, in this call or the next, if
    the server still has the same file (`If-Range`); else it starts again. Server errors, timeouts and lost connections are
    retried after pauses that grow and are partly random.

    Args:
        name: of `RELEASES`.
        into: folder of the archive.
        base_url: holds <name>.zip and <name>.zip.md5.
        client: an HTTP client with its own time limits; the caller closes it.
        progress: called with the bytes so far and in all (None: unknown).
        attempts: requests in a row that may receive nothing before the download fails.
        backoff_seconds: the first pause; each next one is twice as long.

    Returns: the path of the archive, whose MD5 is the published one.

    Raises:
        DownloadError: the server cannot be reached or refuses, or the file has another hash (it is deleted).
        StorageFullError, StorageUnwritableError: `into` has no room or cannot be written.
    """
    if name not in RELEASES:
        raise DownloadError(f"{name}: expected one of {', '.join(RELEASES)}; found another name. Choose one of these.")
    final = into / f"{name}.zip"
    own = client or httpx.Client(timeout=httpx.Timeout(30.0, connect=10.0), follow_redirects=True)
    fetch = _Fetch(own, f"{base_url.rstrip('/')}/{name}.zip", final, progress, attempts, backoff_seconds)
    try:
        with writing_to(into):
            into.mkdir(parents=True, exist_ok=True)
            lock = into / f".{name}.lock"
            with locked(lock, f"{lock}: another process is fetching this release; waiting for it"):
                return fetch.run(RELEASES[name])
    finally:
        if client is None:
            own.close()


class _Fetch:
    """The download of one archive: its address, its files, and how often it is tried."""

    def __init__(
        self, client: httpx.Client, url: str, final: Path, progress: Progress | None, attempts: int, backoff: float
    ) -> None:
        self.client, self.url, self.final = client, url, final
        self.part = final.with_name(f"{final.name}.part")
        self.validator = final.with_name(f"{final.name}.part.json")  # holds the value for If-Range
        self.checked = final.with_name(f"{final.name}.md5")  # holds the hash that the final file was checked against
        self.progress, self.attempts, self.backoff = progress, attempts, backoff
        self.shown = str(httpx.URL(url).copy_with(username=None, password=None, query=None))

    def run(self, known: str | None) -> Path:
        """The checked archive."""
        found = md5_file(self.final) if self.final.is_file() else None
        if found is not None and found == known:
            return self.final
        expected = known or self.published_md5(found)
        if found == expected:
            return self.final
        if found is not None:
            logger.warning("%s: not the published file (MD5 %s); fetching that", self.final, expected)
        self.retry(self.receive)
        self.accept(expected)
        return self.final

    def published_md5(self, found: str | None) -> str:
        """The hash beside the archive on the server; without a connection that of the file fetched and checked earlier."""
        try:
            text = self.retry(self.read_md5)
        except DownloadError:
            if found is None or not self.checked.is_file() or found not in self.checked.read_text():
                raise
            logger.warning("%s: cannot ask for a newer release; using the one fetched before", self.final)
            return found
        match = re.search(r"\b[0-9a-fA-F]{32}\b", text)
        if match is None:
            raise DownloadError(f"{self.shown}.md5: expected an MD5; found {text[:80]!r}. {OFFLINE}")
        return match[0].lower()

    def retry(self, request: Callable[[], Answer]) -> Answer:
        """The result of a request, which is retried while failures may pass or bytes still arrive.

        Raises:
            DownloadError: the failures do not pass.
        """
        failures, reason = 0, ""
        for _ in range(MAX_REQUESTS):
            before = self.have()
            try:
                return request()
            except (httpx.TransportError, _PassingError) as error:
                reason = str(error) or type(error).__name__
                failures = 1 if self.have() > before else failures + 1
                if failures >= self.attempts or "CERTIFICATE_VERIFY_FAILED" in reason:
                    break
                wait = self.backoff * 2 ** (failures - 1) * random.uniform(0.5, 1.5)  # noqa: S311
                wait = min(MAX_WAIT_SECONDS, max(wait, getattr(error, "wait_seconds", 0.0)))
                logger.warning("%s: %s; trying again in %.1f s", self.shown, reason, wait)
                time.sleep(wait)
            except (httpx.RequestError, httpx.InvalidURL) as error:
                reason = str(error)
                break
        kept = f" {self.have():,} bytes are kept: run again to continue." if self.have() else ""
        raise DownloadError(f"{self.shown}: expected the file; found: {reason[:200]}.{kept} {OFFLINE}")

    def read_md5(self) -> str:
        """The first bytes of <name>.zip.md5."""
        with self.client.stream("GET", f"{self.url}.md5") as response:
            self.refuse(response)
            return next(response.iter_bytes(4096), b"").decode("utf-8", "replace")

    def receive(self) -> None:
        """Complete the .part file with one request; the bytes received before a failure stay."""
        have, validator, whole = self.earlier()
        if have and have == whole:
            return
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": validator}
        with self.client.stream("GET", self.url, headers=headers) as response:
            self.refuse(response)
            start, total = self.place(response, have)
            if start == 0:
                self.remember(response, total)
            self.need_room((total or 0) - start)
            done = start
            with self.part.open("r+b" if start else "wb") as part:
                part.seek(start)
                for chunk in response.iter_raw():
                    done += len(chunk)
                    if done > (MAX_BYTES if total is None else total):
                        raise DownloadError(
                            f"{self.shown}: expected {total or MAX_BYTES:,} bytes at most; found more. {OFFLINE}"
                        )
                    part.write(chunk)
                    if self.progress is not None:
                        self.progress(done, total)
        if total is not None and done != total:
            raise _PassingError(f"the connection ended after {done:,} of {total:,} bytes")

    def earlier(self) -> tuple[int, str, int | None]:
        """The bytes of an earlier download that can continue, its validator and its whole length; else 0, "" and None."""
        try:
            record = json.loads(self.validator.read_text())
            if record["url"] == self.shown and record["validator"]:
                return self.have(), record["validator"], record["bytes"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.forget()
        return 0, "", None

    def remember(self, response: httpx.Response, total: int | None) -> None:
        """Store what identifies this version of the file: a strong ETag, else the date of change."""
        etag = response.headers.get("ETag", "")
        validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
        self.forget()
        record = {"url": self.shown, "validator": validator, "bytes": total}
        write_bytes_atomically(self.validator, json.dumps(record).encode())

    def place(self, response: httpx.Response, have: int) -> tuple[int, int | None]:
        """The position of the response's first byte, and the whole length if known; a 200 to a range request starts again."""
        if response.status_code == httpx.codes.OK:
            length = response.headers.get("Content-Length", "")
            return 0, int(length) if re.fullmatch("[0-9]{1,18}", length) else None
        told = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if response.status_code != httpx.codes.PARTIAL_CONTENT or told is None or int(told[1]) != have or not have:
            self.forget()
            raise _PassingError(f"answered {response.status_code} to a request from byte {have:,}; starting over")
        return have, None if told[2] == "*" else int(told[2])

    def refuse(self, response: httpx.Response) -> None:
        """Raise an error for an error status: _PassingError if it may pass, else DownloadError."""
        status = response.status_code
        if status in (408, 425, 429) or status >= 500:
            after = response.headers.get("Retry-After", "")
            raise _PassingError(f"answered {status}", float(after) if re.fullmatch("[0-9]{1,9}", after) else 0.0)
        if status >= 400 and status != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise DownloadError(
                f"{response.url.copy_with(userinfo=b'', query=None)}: expected a file; found HTTP {status}. {OFFLINE}"
            )

    def need_room(self, more: int) -> None:
        """Raise an error before the disk is full."""
        free = shutil.disk_usage(self.part.parent).free
        if free < more:
            raise StorageFullError(
                f"{self.part.parent}: expected room for {more:,} more bytes; found {free:,}. Free some space, or set "
                "MARQUEE_HOME to a larger disk; the bytes fetched so far are kept."
            )

    def accept(self, expected: str) -> None:
        """Give the .part file its final name if its hash is the published one; else delete it."""
        found = md5_file(self.part)
        if found != expected:
            with self.part.open("rb") as stream:
                kind = kind_of(stream.read(512))
            what = f"{found}, {kind}" if kind not in (None, "an archive") else found
            self.forget()
            raise DownloadError(
                f"{self.shown}: expected MD5 {expected}; found {what}. It was deleted; run again to fetch it from the "
                f"start. If it happens again, the file has changed or was tampered with. {OFFLINE}"
            )
        fsync_path(self.part)
        self.part.replace(self.final)
        write_bytes_atomically(self.checked, f"{expected}  {self.final.name}\n".encode())
        self.validator.unlink(missing_ok=True)
        fsync_path(self.final.parent)

    def have(self) -> int:
        """Bytes in the .part file."""
        return self.part.stat().st_size if self.part.is_file() else 0

    def forget(self) -> None:
        """Delete the bytes fetched so far."""
        self.part.unlink(missing_ok=True)
        self.validator.unlink(missing_ok=True)


def md5_file(path: Path) -> str:
    """Hex MD5 of the file's bytes; GroupLens publishes no stronger hash."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
