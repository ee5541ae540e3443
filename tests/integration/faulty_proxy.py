"""A proxy in front of an S3 server that fails the n-th request which changes what is stored, or the n-th of all.

    python faulty_proxy.py PORT UPSTREAM_PORT

`GET /arm?fault=NAME&number=N&process=PID&reads=1` names the fault and starts to count, reads too if `reads` is given; `GET
/count` returns the number so far. The faults `kill …` kill the process PID, which is the client or the server.
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
SERVER_KILLS = {
    "kill before": "the server is killed before it has the request",
    "kill amid": "the server is killed when it has half of the body that is sent, or when half of its answer has arrived",
    "kill after": "the server does it, and is killed before it answers",
}


class Proxy(BaseHTTPRequestHandler):
    """Forwards requests, one connection each."""

    protocol_version = "HTTP/1.1"
    upstream: ClassVar[int]
    state: ClassVar[dict[str, str]] = {}
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
            self.do_HEAD()

    def do_HEAD(self) -> None:
        """Forward, and fail it if reads count and it is the one."""
        if "reads" in Proxy.state:
            self.do_PUT()
        else:
            self._forward(b"")

    def do_PUT(self) -> None:
        """Fail it if it is the one; else forward."""
        with Proxy.lock:
            Proxy.counted += 1
            place = Proxy.counted
        fault, number = Proxy.state.get("fault", ""), int(Proxy.state.get("number", 0))
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
            self._kill()
            self._break()
        elif chosen and fault == "kill amid" and body:
            self._upstream(body, len(body) // 2)
            self._kill()
            self._break()
        elif chosen:
            self._forward(body, fault)
        else:
            self._forward(body)

    do_POST = do_DELETE = do_PUT  # noqa: N815, names of http.server

    def _kill(self) -> None:
        os.kill(int(Proxy.state["process"]), signal.SIGKILL)

    def _upstream(self, body: bytes, sent: int) -> http.client.HTTPConnection:
        """A connection to the server on which the request was sent, and the first bytes of its body."""
        upstream = http.client.HTTPConnection("127.0.0.1", Proxy.upstream, timeout=60)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "expect":
                upstream.putheader(name, value)
        upstream.endheaders()
        upstream.send(body[:sent])
        return upstream

    def _forward(self, body: bytes, fault: str = "") -> None:
        """Let the server do it, and pass the answer on unless the fault prevents it."""
        try:
            upstream = self._upstream(body, len(body))
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
        except (OSError, http.client.HTTPException):  # it is down, or was killed meanwhile
            self._break()
            return
        if fault.startswith("kill"):
            self._kill()
        if fault in {"", "kill amid"}:
            given = [
                pair
                for pair in answer.getheaders()
                if pair[0].lower() not in {"transfer-encoding", "connection", "date", "server"}
            ]
            self._answer(answer.status, content, given, len(content) // 2 if fault else None)
        if fault:
            self._break()

    def _answer(
        self, status: int, content: bytes, headers: list[tuple[str, str]] | None = None, sent: int | None = None
    ) -> None:
        """Answer the client; of the body send the first bytes, or all of it."""
        self.send_response(status)
        for name, value in headers or []:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:sent])

    def _break(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    Proxy.upstream = int(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Proxy).serve_forever()
