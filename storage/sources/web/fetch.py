"""Fetches the answer to one query: asks until the service answers, refuses, or the attempts are used up."""

import asyncio
import json
import logging
import re
import secrets
import urllib.request
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field

from storage.sources.web.rate_limit import LONGEST_WAIT_SECONDS, RateLimiter
from storage.sources.web.response_cache import MAX_BODY_BYTES
from storage.sources.web.service import LOOPBACK, Credential, Query, StopAskingError, Verdict, WebService

OK, REQUEST_TIMEOUT, TOO_MANY_REQUESTS, SERVICE_UNAVAILABLE = 200, 408, 429, 503
GZIP = 16  # added to the window bits of zlib
RANDOM = secrets.SystemRandom()


class GivenUpError(Exception):
    """A query stays unanswered.

    Args:
        reason: for the counts and the log.
        outage: the service is at fault, not the query.
        broken: the answer was well-formed but not what was asked for, or not JSON.
    """

    def __init__(self, reason: str, *, outage: bool, broken: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.outage = outage
        self.broken = broken


class Patience(BaseModel):
    """How often and how long one query is tried."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempts: int = Field(5, ge=1, le=20, description="Attempts per query before it counts as failed.")
    rate_limited_attempts: int = Field(20, ge=1, description="How often a query may be answered with HTTP 429.")
    first_delay_seconds: float = Field(0.5, gt=0, description="Upper bound of the first random delay; then doubled.")
    longest_delay_seconds: float = Field(30.0, gt=0, description="Upper bound of any random delay.")
    silence_seconds: float = Field(10.0, gt=0, description="Longest wait for a connection or for the next bytes.")
    whole_seconds: float = Field(30.0, gt=0, description="Longest time for one attempt in all.")


class _KeyedTransport(httpx.AsyncBaseTransport):
    """Adds the key below the client, so that logs, exceptions and cache keys show requests without it."""

    def __init__(self, inner: httpx.AsyncBaseTransport, credential: Credential) -> None:
        self._inner = inner
        self._credential = credential

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request with the key added."""
        secret = self._credential.secret.get_secret_value()
        url, headers = request.url, request.headers.copy()
        if self._credential.query_parameter:
            url = url.copy_add_param(self._credential.query_parameter, secret)
        else:
            headers["Authorization"] = f"Bearer {secret}"
        keyed = httpx.Request(
            request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
        )
        return await self._inner.handle_async_request(keyed)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


@dataclass(frozen=True)
class Fetcher:
    """Asks one service at the limiter's rate and retries failures that may pass; `opened` makes one.

    Attributes:
        client: sends the requests.
        limiter: the rate and the pause that all processes share.
        service: judges the answers.
        patience: how often and how long a query is tried.
        sleep: waits for so many seconds.
    """

    client: httpx.AsyncClient
    limiter: RateLimiter
    service: WebService
    patience: Patience
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, service: WebService, credential: Credential, limiter: RateLimiter, patience: Patience | None = None
    ) -> AsyncIterator[Self]:
        """A fetcher with a connection per movie asked at a time, closed at the end of the block."""
        patience = patience or Patience()
        # httpcore logs redirects, whose address may repeat the key; httpx logs every request.
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        if logging.getLogger("httpx").level == logging.NOTSET:
            logging.getLogger("httpx").setLevel(logging.WARNING)
        limits = httpx.Limits(max_connections=service.concurrency, max_keepalive_connections=service.concurrency)
        wire = httpx.AsyncHTTPTransport(limits=limits, proxy=_proxy_for(service.base_url))
        async with httpx.AsyncClient(
            transport=_KeyedTransport(wire, credential),
            base_url=service.base_url,
            headers={"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "marquee"},
            timeout=patience.silence_seconds,
            follow_redirects=False,  # the key is sent to the base URL only
        ) as client:
            yield cls(client, limiter, service, patience)

    async def ask(self, query: Query) -> tuple[bool, bytes]:
        """The answer to a query: whether it says that there is no such movie, and its JSON.

        Raises:
            GivenUpError: no usable answer after all attempts, or one that more attempts would not change.
            StopAskingError: the service asks for a pause of more than an hour.
            MetadataCredentialsError: the service rejects the key; this is never retried.
        """
        failures = rate_limited = 0
        while True:
            await self.limiter.turn()
            status, headers, body, trouble = await self._attempt(query)
            wait = retry_after(headers) if status in (TOO_MANY_REQUESTS, SERVICE_UNAVAILABLE) else None
            if wait is not None and wait > LONGEST_WAIT_SECONDS:
                raise StopAskingError("the service asked to wait", datetime.now(UTC) + timedelta(seconds=wait))
            answer = json_object(body)
            if status == TOO_MANY_REQUESTS:
                rate_limited += 1
                trouble = "HTTP 429 again and again"
            else:
                failures += 1
                if not trouble:
                    verdict = self._judge(query, status, answer)
                    if verdict.kind in ("answer", "absent"):
                        return verdict.kind == "absent", body
                    if verdict.kind != "again":
                        broken = verdict.kind == "broken"
                        raise GivenUpError(verdict.reason, outage=not broken, broken=broken)
                    trouble = verdict.reason
            if failures >= self.patience.attempts or rate_limited >= self.patience.rate_limited_attempts:
                is_json = answer is not None
                raise GivenUpError(trouble, outage=not is_json or status != OK, broken=not is_json and status == OK)
            delay = self._backoff(failures + rate_limited) if wait is None else wait
            if status == TOO_MANY_REQUESTS or wait is not None:
                await asyncio.to_thread(self.limiter.pause, delay)  # of all processes; turn() waits for its end
            else:
                await self.sleep(delay)

    def _judge(self, query: Query, status: int, body: dict[str, Any] | None) -> Verdict:
        if self.service.is_absent(status, body):
            return Verdict("absent")
        if 300 <= status < 400:
            return Verdict("failed", f"HTTP {status}: redirected; set base_url to the address of the service")
        if status >= 500 or status == REQUEST_TIMEOUT:
            return Verdict("again", f"HTTP {status}")
        if status != OK:
            return Verdict("failed", f"HTTP {status}")
        if body is None:
            return Verdict("again", "expected JSON; found something else")
        return self.service.check(query, body)

    def _backoff(self, attempt: int) -> float:
        """Seconds to wait after the `attempt`-th attempt: random below a bound that doubles.

        The random part keeps several processes from asking at the same moment.
        """
        bound = self.patience.first_delay_seconds * 2 ** (attempt - 1)
        return RANDOM.uniform(0, min(bound, self.patience.longest_delay_seconds))

    async def _attempt(self, query: Query) -> tuple[int, httpx.Headers, bytes, str]:
        """HTTP status (0: no answer), headers, body, and what went wrong with the connection ("": nothing)."""
        try:
            async with (
                asyncio.timeout(self.patience.whole_seconds),
                self.client.stream("GET", query.path, params=query.params) as response,
            ):
                return response.status_code, response.headers, await _body_of(response), ""
        except (TimeoutError, httpx.TimeoutException):
            return 0, httpx.Headers(), b"", "timeout"
        except zlib.error:
            return 0, httpx.Headers(), b"", "expected a whole gzip body; found a damaged one"
        except httpx.RequestError as error:
            return 0, httpx.Headers(), b"", f"connection failed ({type(error).__name__})"


async def _body_of(response: httpx.Response) -> bytes:
    """The body, unpacked here and not by httpx, which unpacks 64 KiB that it received to 64 MiB at once.

    Raises:
        GivenUpError: it is longer than MAX_BODY_BYTES.
        zlib.error: it is damaged.
    """
    is_packed = response.headers.get("Content-Encoding", "").strip().lower() in ("gzip", "x-gzip")
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | GZIP) if is_packed else None
    body = bytearray()
    async for part in response.aiter_raw():
        body += unpacker.decompress(part, MAX_BODY_BYTES + 1 - len(body)) if unpacker else part
        if len(body) > MAX_BODY_BYTES:
            raise GivenUpError(f"more than {MAX_BODY_BYTES} bytes", outage=False, broken=True)
    return bytes(body)


def retry_after(headers: httpx.Headers) -> float | None:
    """Seconds to wait by `Retry-After`, given in seconds or as an HTTP date; None if it is absent or unreadable.

    A date is compared with the answer's own `Date`, so the clocks of the two machines need not agree.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", value, re.ASCII):
        return float(value)
    wanted = _http_date(value)
    if wanted is None:
        return None
    return max(0.0, (wanted - (_http_date(headers.get("Date", "")) or datetime.now(UTC))).total_seconds())


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in `body`; None if there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _proxy_for(base_url: str) -> str | None:
    """The proxy that the environment names; httpx reads it only for transports of its own."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if host in LOOPBACK or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")
