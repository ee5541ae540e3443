"""A proxy in front of an S3 server that fails the n-th request which changes what is stored.

    python faulty_proxy.py PORT UPSTREAM_PORT

`GET /arm?fault=NAME&number=N&process=PID` names the fault and starts to count; `GET /count` returns the changes so far.
"""

import http.client
import os
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

FAULTS = {
    "503 from it on": "the server refuses it and all later ones",
    "503 once": "the server refuses it, and takes it when it is sent again",
    "no answer from it on": "the connection breaks before it reaches the server",
    "done, no answer": "the server does it, and the connection breaks before the answer",
    "kill before": "the client is killed before it reaches the server",
    "kill after": "the client is killed before the answer reaches it",
}


class Proxy(BaseHTTPRequestHandler):
    """Forwards requests, one connection each."""

    protocol_version = "HTTP/1.1"
    upstream: ClassVar[int]
    state: ClassVar[dict[str, str]] = {"fault": "", "number": "0", "process": "0"}
    counted: ClassVar[int] = 0
    lock: ClassVar[threading.Lock] = threading.Lock()

    def do_GET(self) -> None:
        """Forward, or take an order."""
        target = urlsplit(self.path)
        if target.path == "/arm":
            Proxy.state = {name: values[0] for name, values in parse_qs(target.query).items()}
            Proxy.counted = 0
            self._answer(200, b"armed")
        elif target.path == "/count":
            self._answer(200, str(Proxy.counted).encode())
        else:
            self._forward()

    def do_HEAD(self) -> None:
        """Forward."""
        self._forward()

    def do_PUT(self) -> None:
        """Fail it if it is the one; else forward."""
        with Proxy.lock:
            Proxy.counted += 1
            place = Proxy.counted
        fault, number, process = Proxy.state["fault"], int(Proxy.state["number"]), int(Proxy.state["process"])
        chosen = place == number or (place > number > 0 and fault.endswith("from it on"))
        if "100-continue" in self.headers.get("Expect", ""):
            self.send_response_only(100)
            self.end_headers()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if chosen and fault.startswith("503"):
            self._answer(503, b"<Error><Code>ServiceUnavailable</Code><Message>later</Message></Error>")
        elif chosen and fault.startswith("no answer"):
            self._break()
        elif chosen and fault == "kill before":
            os.kill(process, signal.SIGKILL)
            self._break()
        else:
            self._forward(body, answered=not chosen)
            if chosen and fault == "kill after":
                os.kill(process, signal.SIGKILL)
            if chosen:
                self._break()

    do_POST = do_DELETE = do_PUT  # noqa: N815, names of http.server

    def _forward(self, body: bytes | None = None, answered: bool = True) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", Proxy.upstream, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if answered:
            given = [
                pair
                for pair in answer.getheaders()
                if pair[0].lower() not in {"transfer-encoding", "connection", "date", "server"}
            ]
            self._answer(answer.status, content, given)

    def _answer(self, status: int, content: bytes, headers: list[tuple[str, str]] | None = None) -> None:
        self.send_response(status)
        for name, value in headers or []:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _break(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    Proxy.upstream = int(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Proxy).serve_forever()
