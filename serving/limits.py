"""Limits on the bodies of requests: their size, and the time that a client may take to send one."""

import asyncio
import json
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY_BYTES = 256 << 10
MOST_DRAINED_BYTES = 64 << 20  # of a body that is too large: a client that still sends would not read the answer
BODY_SECONDS = 10.0


class BodyTooLargeError(Exception):
    """A body has too many bytes."""


class BodyLimits:
    """Reads each body before the application sees the request; refuses large ones with 413 and slow ones with 408.

    Args:
        app: the application.
        most_bytes: of a body.
        seconds: in which a body must have arrived.
    """

    def __init__(self, app: ASGIApp, most_bytes: int = MOST_BODY_BYTES, seconds: float = BODY_SECONDS) -> None:
        self.app, self.most_bytes, self.seconds = app, most_bytes, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its whole body, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self.seconds):
                body = await self._body(receive)
        except TimeoutError:
            await refuse(
                send,
                408,
                "slow_body",
                f"expected the body within {self.seconds:g} s; found a slower client. Send the body faster, or a shorter one.",
            )
            return
        except BodyTooLargeError:
            await refuse(
                send,
                413,
                "body_too_large",
                f"expected at most {self.most_bytes:,} bytes; found more. Send fewer ratings.",
            )
            return
        if body is None:
            return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        await self.app(scope, replay, send)

    async def _body(self, receive: Receive) -> bytes | None:
        """The body; None if the client is gone."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size <= self.most_bytes:
                parts.append(part)
            if not message.get("more_body", False) or size > MOST_DRAINED_BYTES:
                break
        if size > self.most_bytes:
            raise BodyTooLargeError
        return b"".join(parts)


async def refuse(send: Send, status: int, error: str, message: str) -> None:
    """Answer with a problem and close the connection."""
    body = json.dumps({"error": error, "message": message}).encode()
    headers: list[tuple[bytes, bytes]] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
