"""An HTTP server on loopback that serves a release of MovieLens and misbehaves on purpose."""

import hashlib
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx

from storage.sources.movielens.downloads import fetch_release


def archive(seed: int) -> bytes:
    """About 300 kB that do not shrink."""
    ratings = b"".join(hashlib.sha256(b"%d-%d" % (seed, block)).digest() for block in range(10_000))
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("ml-20m/ratings.csv", ratings)
        opened.writestr("ml-20m/movies.csv", b"movieId,title,genres\n")
    return buffer.getvalue()


BODY, OTHER = archive(1), archive(2)
HALF = len(BODY) // 2


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass
class Server:
    """What it serves and how it misbehaves; `faults` are used up one per request of the archive."""

    body: bytes = BODY
    md5_text: str | None = None
    etag: str | None = '"one"'
    modified: float | None = None
    ranges: bool = True
    length: bool = True
    faults: list[Callable[[BaseHTTPRequestHandler], bool]] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.path.endswith(".md5"):
            text = self.md5_text or f"MD5 ({handler.path[1:-4]}) = {md5(self.body)}\n"
            send(handler, 200 if text != "absent" else 404, text.encode())
            return
        self.seen.append({name.lower(): value for name, value in handler.headers.items()})
        if self.faults and self.faults.pop(0)(handler):
            return
        self.serve(handler)

    def serve(self, handler: BaseHTTPRequestHandler, until: int | None = None) -> None:
        """The file or the range that was asked for; cut where `until` says."""
        date = formatdate(self.modified, usegmt=True) if self.modified else None
        headers = {"ETag": self.etag, "Last-Modified": date}
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        body, status = self.body, 200
        if asked and self.ranges and condition in (self.etag, date):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            status, body = 206, body[start:]
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        if self.length:
            headers["Content-Length"] = str(len(body))
        start_answer(handler, status, headers)
        handler.wfile.write(body[:until])


def start_answer(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, Any]) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        if value is not None:
            handler.send_header(name, value)
    handler.end_headers()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> bool:
    start_answer(
        handler,
        status,
        {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Length": len(body)},
    )
    handler.wfile.write(body)
    return True


def failing(status: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], bool]:
    return lambda handler: send(handler, status, b"no", **headers)


@contextmanager
def serving_release() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)
            self.close_connection = True

        def log_message(self, *arguments: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


def fetch(
    server: Server, into: Path, name: Any = "ml-20m", attempts: int = 4, timeout: float = 30, **more: Any
) -> Path:
    with httpx.Client(timeout=timeout, follow_redirects=True) as client:
        return fetch_release(
            name, into, base_url=server.url, client=client, attempts=attempts, backoff_seconds=0.01, **more
        )


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def cut(server: Server, after: int) -> Callable[[BaseHTTPRequestHandler], bool]:
    """Send so many bytes of what was promised, then close."""

    def act(handler: BaseHTTPRequestHandler) -> bool:
        server.serve(handler, until=after)
        return True

    return act
