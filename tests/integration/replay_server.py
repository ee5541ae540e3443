"""A metadata service on loopback that replays given bodies and misbehaves by script, and remembers what it was asked."""

import socket
import struct
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

from quiet_server import serving_quietly

TMDB_ABSENT = b'{"success":false,"status_code":34,"status_message":"The resource you requested could not be found."}'
OMDB_ABSENT = b'{"Response":"False","Error":"Incorrect IMDb ID."}'


@dataclass(frozen=True)
class Step:
    """One answer; `body` None: what the server has for the route."""

    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0  # seconds before the answer
    wire: Literal["whole", "reset", "cut", "cut-unannounced", "drip"] = "whole"


class Asked(NamedTuple):
    """One request as it arrived."""

    at: float  # Unix time
    route: str
    target: str  # path and query
    headers: dict[str, str]


class ReplayServer:
    """Answers routes (the path, or OMDb's `i` parameter) by script first, then from `answers`, else with `missing`."""

    def __init__(self, answers: dict[str, bytes], missing: Step) -> None:
        self.answers = answers
        self.missing = missing
        self.scripts: dict[str, deque[Step]] = defaultdict(deque)
        self.always: Step | None = None  # instead of everything else
        self.log: list[Asked] = []
        self.url = ""

    def script(self, route: str, *steps: Step) -> None:
        """Answer the next requests for `route` with these."""
        self.scripts[route].extend(steps)

    @property
    def routes(self) -> list[str]:
        return [asked.route for asked in self.log]

    def step(self, route: str) -> Step:
        if self.always is not None:
            return self.always
        if self.scripts[route]:
            return self.scripts[route].popleft()
        return Step() if route in self.answers else self.missing


@contextmanager
def serving(answers: dict[str, bytes], missing: Step | None = None) -> Iterator[ReplayServer]:
    """A running server on a free port of 127.0.0.1."""
    server = ReplayServer(answers, missing or Step(404, TMDB_ABSENT))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            route = parse_qs(parts.query).get("i", [parts.path])[0]
            server.log.append(Asked(time.time(), route, self.path, dict(self.headers.items())))
            step = server.step(route)
            time.sleep(step.delay)
            body = server.answers.get(route, b"") if step.body is None else step.body
            try:
                self.answer(step, body)
            except OSError:
                self.close_connection = True  # the client has gone

        def answer(self, step: Step, body: bytes) -> None:
            if step.wire == "reset":
                linger = struct.pack("ii", 1, 0)  # close sends RST
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                self.connection.close()
                return
            self.send_response_only(step.status)
            headers = {"Content-Type": "application/json;charset=utf-8"} | step.headers
            headers.setdefault("Date", self.date_time_string())
            if step.wire != "cut-unannounced":
                headers.setdefault("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value.replace("{target}", self.path))
            self.end_headers()
            if step.wire == "drip":
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(0.05)
            elif step.wire.startswith("cut"):
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            else:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving_quietly(Handler) as server.url:
        yield server
