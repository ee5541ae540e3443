"""An S3 server on loopback that keeps objects in memory, verifies checksums if it is told to, and misbehaves by script."""

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from quiet_server import serving_quietly

BUCKET = "bucket"


class Request(NamedTuple):
    """One request as it arrived."""

    method: str
    key: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What is sent back."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False  # the connection ends before the answer
    cut_at: int | None = None  # the connection ends after this many bytes of the body
    length: bool = True  # whether the answer announces its length


Fault = Callable[[Request, Answer], Answer]


class SmallS3:
    """The objects of one bucket by key; `faults` change the answers of the next requests, one each, in their order."""

    def __init__(self) -> None:
        self.url = ""
        self.lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything, and behave."""
        self.objects: dict[str, bytes] = {}
        self.checksums: dict[str, str] = {}
        self.checks_checksums = False
        self.ignored: set[str] = set()  # headers
        self.always: Fault = lambda _, answer: answer
        self.faults: list[Fault] = []
        self.log: list[Request] = []
        self.sent = 0  # bytes of bodies

    def answer(self, request: Request) -> Answer:
        with self.lock:
            self.log.append(request)
            answer = self.always(request, self.apply(request))
            return self.faults.pop(0)(request, answer) if self.faults else answer

    def apply(self, request: Request) -> Answer:
        present = self.objects.get(request.key)
        if request.method == "DELETE":
            return error(403, "AccessDenied")
        if request.method == "PUT":
            return self.put(request, present)
        if request.method == "GET" and not request.key:
            return self.list(request)
        if present is None:
            return error(404, "NoSuchKey")
        answer = Answer(200, present, {"ETag": etag(present)})
        if request.key in self.checksums and request.headers.get("x-amz-checksum-mode"):
            answer.headers["x-amz-checksum-sha256"] = self.checksums[request.key]
        if (asked := request.headers.get("range")) is not None:
            first, last = asked.removeprefix("bytes=").split("-")
            start, end = int(first), min(int(last or len(present)), len(present) - 1)
            if start >= len(present):
                return error(416, "InvalidRange")
            answer.status, answer.body = 206, present[start : end + 1]
            answer.headers["Content-Range"] = f"bytes {start}-{end}/{len(present)}"
        return answer

    def put(self, request: Request, present: bytes | None) -> Answer:
        headers = {name: value for name, value in request.headers.items() if name not in self.ignored}
        if "if-none-match" in headers and present is not None:
            return error(412, "PreconditionFailed")
        if "if-match" in headers and present is None:
            return error(404, "NoSuchKey")
        wanted = headers.get("if-match", "").strip('"')
        if wanted and wanted != etag(present or b"").strip('"'):
            return error(412, "PreconditionFailed")
        checksum = headers.get("x-amz-checksum-sha256", "")
        found = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
        if self.checks_checksums and checksum and checksum != found:
            return error(400, "BadDigest")
        self.objects[request.key] = request.body
        self.checksums[request.key] = checksum
        return Answer(200, b"", {"ETag": etag(request.body)})

    def list(self, request: Request) -> Answer:
        prefix = request.headers["list-prefix"]
        keys = "".join(
            f"<Contents><Key>{escape(key)}</Key></Contents>" for key in self.objects if key.startswith(prefix)
        )
        return Answer(body=f"<ListBucketResult><Name>{BUCKET}</Name>{keys}</ListBucketResult>".encode())


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def error(status: int, code: str) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())


@contextmanager
def serving_s3() -> Iterator[SmallS3]:
    """A running server on a free port of 127.0.0.1."""
    server = SmallS3()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            headers["list-prefix"] = parse_qs(parts.query).get("prefix", [""])[0]
            key = unquote(parts.path).removeprefix(f"/{BUCKET}").removeprefix("/")
            try:
                self.send(server.answer(Request(self.command, key, headers, body)))
            except OSError:
                self.close_connection = True  # the client has gone

        do_GET = do_HEAD = do_PUT = do_DELETE = handle_any  # noqa: N815

        def send(self, answer: Answer) -> None:
            if answer.lost:
                self.close_connection = True
                return
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.length:
                self.send_header("Content-Length", str(len(answer.body)))
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            if self.command == "HEAD":
                return
            if answer.cut_at is not None:
                self.close_connection = True
            whole = answer.body[: answer.cut_at]
            for start in range(0, len(whole), 1 << 16):
                self.wfile.write(whole[start : start + (1 << 16)])
                server.sent += len(whole[start : start + (1 << 16)])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving_quietly(Handler) as server.url:
        yield server
