import asyncio
import gzip
import json
import random
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.storage.sources.json_support import OBJECTS

from storage.sources.web import fetch
from storage.sources.web.fetch import Fetcher, GivenUpError, Patience, json_object, retry_after
from storage.sources.web.rate_limit import RateLimiter
from storage.sources.web.tmdb_api import TmdbApi

UNHURRIED = settings(deadline=None)  # other work on the machine is not a failure


@given(st.binary(max_size=200) | st.text().map(str.encode) | OBJECTS.map(lambda body: json.dumps(body).encode()))
@UNHURRIED
def test_any_bytes_are_an_object_or_none(body: bytes) -> None:
    assert isinstance(json_object(body), dict | None)


def test_deep_nesting_is_no_object() -> None:
    assert json_object(b'{"a":' * 200_000) is None
    assert json_object(b'{"a":' + b"9" * 5000 + b"}") is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7), ({"Retry-After": "0"}, 0), ({}, None), ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None), ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:10 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 10),
        ({"Retry-After": "Wednesday, 21-Oct-15 07:28:10 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 10),
        ({"Retry-After": "Wed Oct 21 07:28:10 2015", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 10),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)  # fmt: skip
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(httpx.Headers(headers)) == seconds


@given(st.text(alphabet=st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=40))
@UNHURRIED
def test_any_retry_after_is_understood_or_not(value: str) -> None:
    wait = retry_after(httpx.Headers([(b"Retry-After", value.encode("latin-1"))]))
    assert wait is None or wait >= 0


class Clock(RateLimiter):
    """A limiter that never waits, and a sleep that only notes how long it should last."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "rate", 1.0)
        self.slept: list[float] = []
        self.paused: list[float] = []

    async def turn(self) -> None:
        pass

    def pause(self, seconds: float) -> None:
        self.paused.append(seconds)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def arriving(answer: httpx.Response) -> httpx.Response:
    """The answer as it comes from the network: its body has not been read."""

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(answer.content), 1 << 16):
            yield answer.content[start : start + (1 << 16)]

    return httpx.Response(answer.status_code, headers=answer.headers, content=parts())


def ask(clock: Clock, *answers: httpx.Response) -> tuple[bool, bytes]:
    """Ask TMDB for movie 1; it gives the answers in turn."""
    left = iter(answers)
    transport = httpx.MockTransport(lambda _: arriving(next(left)))

    async def run() -> tuple[bool, bytes]:
        service, patience = TmdbApi(), Patience(attempts=8, first_delay_seconds=1, longest_delay_seconds=20)
        async with httpx.AsyncClient(transport=transport, base_url=service.base_url) as client:
            return await Fetcher(client, clock, service, patience, clock.sleep).ask(service.details(1))

    return asyncio.run(run())


def test_waits_are_random_below_a_bound_that_doubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "RANDOM", random.Random(0))  # noqa: S311
    clock = Clock(tmp_path)
    with pytest.raises(GivenUpError, match="HTTP 500") as given_up:
        ask(clock, *[httpx.Response(500)] * 8)
    assert given_up.value.outage
    bounds = [1, 2, 4, 8, 16, 20, 20]
    expected = random.Random(0)  # noqa: S311
    assert clock.slept == [expected.uniform(0, bound) for bound in bounds]
    assert clock.paused == []


def test_a_rate_limit_pauses_all_processes_for_as_long_as_the_service_says(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    limited = httpx.Response(429, headers={"Retry-After": "7"})
    absent, body = ask(
        clock, limited, httpx.Response(503, headers={"Retry-After": "9"}), httpx.Response(200, json={"id": 1})
    )
    assert (absent, json.loads(body)) == (False, {"id": 1})
    assert (clock.paused, clock.slept) == ([7, 9], [])


BOMB = gzip.compress(bytes(64 << 20), mtime=0)  # 64 KiB


def packed(body: bytes) -> httpx.Response:
    """An answer whose body is packed; httpx unpacks what it is made with, so the header is added later."""
    answer = httpx.Response(200, content=body)
    answer.headers["Content-Encoding"] = "gzip"
    return answer


def test_a_packed_answer_is_read_and_a_bomb_takes_no_more_than_the_largest_answer(tmp_path: Path) -> None:
    body = b'{"id": 1}' + b" " * 200_000
    assert ask(Clock(tmp_path), packed(gzip.compress(body))) == (False, body)
    tracemalloc.start()
    try:
        with pytest.raises(GivenUpError, match="more than 8388608 bytes") as given_up:
            ask(Clock(tmp_path), packed(BOMB))
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
    assert (given_up.value.broken, given_up.value.outage) == (True, False)


def test_a_damaged_packed_answer_is_asked_for_again(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"id": 1}')
    answers = [packed(damaged) for damaged in (b"\xff\xfe", whole[:-9], zlib.compress(b"{}"))]
    assert ask(Clock(tmp_path), *answers, packed(whole)) == (False, b'{"id": 1}')
