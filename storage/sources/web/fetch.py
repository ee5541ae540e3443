"""One question to a metadata service, asked until it is answered, refused or given up."""

import asyncio
import json
import logging
import re
import secrets
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from storage.errors import MetadataCredentialsError
from storage.sources.web.rate_limit import LONGEST_WAIT_SECONDS, RateLimiter
from storage.sources.web.response_cache import MAX_BODY_BYTES

LOOPBACK = ("localhost", "127.0.0.1", "::1")
OK, REQUEST_TIMEOUT, TOO_MANY_REQUESTS, SERVICE_UNAVAILABLE = 200, 408, 429, 503


class Query(NamedTuple):
    """A question, without secrets: the path below the service's base URL, and parameters."""

    path: str
    params: tuple[tuple[str, str], ...]


class Verdict(NamedTuple):
    """What an answer is worth, and why where it is worth nothing.

    answer: to be kept; absent: the service knows no such movie; again: may be better next time; broken: well-formed
    but not what was asked for; failed: asking again is no use.
    """

    kind: Literal["answer", "absent", "again", "broken", "failed"]
    reason: str = ""


class Service(Protocol):
    """What tells one service's answers apart."""

    base_url: str

    def is_absent(self, status: int, body: dict[str, Any] | None) -> bool:
        """Whether this answer (HTTP status, JSON object if it was one) says that there is no such movie.

        Raises:
            MetadataCredentialsError: it says that the key is not good.
            StopAskingError: it says that nothing more is answered for long.
        """

    def check(self, query: Query, body: dict[str, Any]) -> Verdict:
        """What a JSON object that came with HTTP 200 is worth."""


class GivenUpError(Exception):
    """A question stays unanswered; `outage` where the service, not the question, is to blame."""

    def __init__(self, reason: str, *, outage: bool, broken: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.outage = outage
        self.broken = broken


class StopAskingError(Exception):
    """The service answers nobody until `retry_at`."""

    def __init__(self, reason: str, retry_at: datetime) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_at = retry_at


class Patience(BaseModel):
    """How long one question is tried."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempts: int = Field(5, ge=1, le=20, description="Attempts per question before it counts as failed.")
    rate_limited_attempts: int = Field(20, ge=1, description="How often a question may be answered with 429.")
    first_delay_seconds: float = Field(0.5, gt=0, description="Upper bound of the first random delay; then doubled.")
    longest_delay_seconds: float = Field(30.0, gt=0, description="Bound of the doubling.")
    silence_seconds: float = Field(10.0, gt=0, description="Longest wait for a connection or for the next bytes.")
    whole_seconds: float = Field(30.0, gt=0, description="Longest time for one attempt, however it trickles.")


class Credential(NamedTuple):
    """A key, and where the service wants it: in a query parameter of that name, else as a bearer token."""

    secret: SecretStr
    query_parameter: str | None = None

    @classmethod
    def checked(cls, text: SecretStr, query_parameter: str | None, variable: str) -> Self:
        """A credential without surrounding blanks.

        Raises:
            MetadataCredentialsError: it is empty or holds what no key holds; the message does not show it.
        """
        stripped = text.get_secret_value().strip()
        if not re.fullmatch(r"[!-~]{1,4096}", stripped):
            raise MetadataCredentialsError(
                f"{variable}: expected a key of printable ASCII characters; found {len(stripped)} characters that "
                "are none, or more than one word. Copy it again from the service's account page."
            )
        return cls(SecretStr(stripped), query_parameter)


class _KeyedTransport(httpx.AsyncBaseTransport):
    """Adds the key below the client: its logs, its exceptions and our cache keys show requests that never had it."""

    def __init__(self, inner: httpx.AsyncBaseTransport, credential: Credential) -> None:
        self._inner = inner
        self._credential = credential

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request with the key in its place."""
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


class Fetcher:
    """Asks one service, at the limiter's pace, patiently; `opened` makes one."""

    def __init__(self, client: httpx.AsyncClient, limiter: RateLimiter, service: Service, patience: Patience) -> None:
        self._client = client
        self._limiter = limiter
        self._service = service
        self._patience = patience
        self._random = secrets.SystemRandom()

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        service: Service,
        credential: Credential,
        limiter: RateLimiter,
        patience: Patience | None = None,
        connections: int = 8,
    ) -> AsyncIterator[Self]:
        """A fetcher over at most `connections` connections to the service, closed at the end of the block."""
        patience = patience or Patience()
        # httpcore tells of redirects, whose address may repeat the key; httpx has a line for every request.
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        if logging.getLogger("httpx").level == logging.NOTSET:
            logging.getLogger("httpx").setLevel(logging.WARNING)
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        wire = httpx.AsyncHTTPTransport(limits=limits, proxy=_proxy_for(service.base_url))
        async with httpx.AsyncClient(
            transport=_KeyedTransport(wire, credential),
            base_url=service.base_url,
            headers={"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "marquee"},
            timeout=patience.silence_seconds,
            follow_redirects=False,  # the key goes nowhere but to the base URL
        ) as client:
            yield cls(client, limiter, service, patience)

    async def ask(self, query: Query) -> tuple[bool, bytes]:
        """The answer to a question: (whether it is that there is no such movie, JSON).

        Raises:
            GivenUpError: no usable answer after all attempts, or one that more attempts won't mend.
            StopAskingError: the service wants to be left alone for long.
            MetadataCredentialsError: the service rejects the key (at once, never retried).
        """
        failures = rate_limited = 0
        while True:
            await self._limiter.turn()
            status, headers, body, trouble = await self._attempt(query)
            wait = retry_after(headers) if status in (TOO_MANY_REQUESTS, SERVICE_UNAVAILABLE) else None
            if wait is not None and wait > LONGEST_WAIT_SECONDS:
                raise StopAskingError("the service asked to wait", datetime.now(UTC) + timedelta(seconds=wait))
            answer = json_object(body)
            if status == TOO_MANY_REQUESTS:
                rate_limited += 1
                trouble = "HTTP 429 again and again"
            elif not trouble:
                verdict = self._judge(query, status, answer)
                if verdict.kind in ("answer", "absent"):
                    return verdict.kind == "absent", body
                if verdict.kind != "again":
                    raise GivenUpError(verdict.reason, outage=verdict.kind == "failed", broken=verdict.kind == "broken")
                trouble = verdict.reason
            failures += status != TOO_MANY_REQUESTS
            if failures >= self._patience.attempts or rate_limited >= self._patience.rate_limited_attempts:
                raise GivenUpError(
                    trouble, outage=answer is None or status != OK, broken=answer is None and status == OK
                )
            delay = self._backoff(failures + rate_limited) if wait is None else wait
            if status == TOO_MANY_REQUESTS or wait is not None:
                await asyncio.to_thread(self._limiter.pause, delay)  # for everybody; turn() then waits
            else:
                await asyncio.sleep(delay)

    def _judge(self, query: Query, status: int, body: dict[str, Any] | None) -> Verdict:
        if self._service.is_absent(status, body):
            return Verdict("absent")
        if 300 <= status < 400:
            return Verdict("failed", f"HTTP {status}: redirected; set base_url to where the service is")
        if status >= 500 or status == REQUEST_TIMEOUT:
            return Verdict("again", f"HTTP {status}")
        if status != OK:
            return Verdict("failed", f"HTTP {status}")
        if body is None:
            return Verdict("again", "expected JSON; found something else")
        return self._service.check(query, body)

    def _backoff(self, attempt: int) -> float:
        """Seconds before the attempt after the `attempt`-th: random below a doubling bound, so that a crowd spreads."""
        bound = self._patience.first_delay_seconds * 2 ** (attempt - 1)
        return self._random.uniform(0, min(bound, self._patience.longest_delay_seconds))

    async def _attempt(self, query: Query) -> tuple[int, httpx.Headers, bytes, str]:
        """(HTTP status or 0, headers, body, what went wrong on the way or "")."""
        try:
            async with (
                asyncio.timeout(self._patience.whole_seconds),
                self._client.stream("GET", query.path, params=query.params) as response,
            ):
                body = bytearray()
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > MAX_BODY_BYTES:
                        raise GivenUpError(f"more than {MAX_BODY_BYTES} bytes", outage=False, broken=True)
                return response.status_code, response.headers, bytes(body), ""
        except (TimeoutError, httpx.TimeoutException):
            return 0, httpx.Headers(), b"", "timeout"
        except httpx.RequestError as error:
            return 0, httpx.Headers(), b"", f"connection failed ({type(error).__name__})"


def retry_after(headers: httpx.Headers) -> float | None:
    """Seconds to wait by `Retry-After`, in seconds or as an HTTP date; None where it says nothing sensible.

    A date is taken relative to the answer's own `Date`, so that clocks that disagree do no harm.
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
    """The JSON object that `body` holds, if it holds one."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _proxy_for(base_url: str) -> str | None:
    """The proxy of the environment; httpx looks there itself only where it makes its own transport."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if host in LOOPBACK or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")
