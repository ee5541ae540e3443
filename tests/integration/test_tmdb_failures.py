"""TMDB's client against a server that fails: what is tried again, what is counted, and what ends the crawl."""

import gzip
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import pytest
from integration.crawl_support import CALM, QUICK, by_tmdb, catalogue, crawled, details
from integration.replay_server import Step, serving

from storage.errors import MetadataCredentialsError, MetadataQuotaError, MetadataUnavailableError
from storage.sources.web.fetch import Patience

LONG = details(1, overview="x" * 400)  # 20 seconds where it drips, never silent for long


def patience_for(trouble: Step) -> Patience:
    """Short deadlines only where one is waited for: elsewhere a busy machine must not pass them."""
    return QUICK if trouble.delay or trouble.wire == "drip" else CALM


@pytest.mark.parametrize(
    "trouble",
    [
        Step(500), Step(502, b"<html>bad gateway</html>"), Step(503), Step(408), Step(delay=4), Step(wire="reset"),
        Step(wire="cut"), Step(wire="cut-unannounced"), Step(200, LONG, wire="drip"), Step(200, b"<html>Sign in</html>"),
        Step(200, b""), Step(200, b"[]"), Step(200, b"\xff\xfe", {"Content-Encoding": "gzip"}), Step(200, b"[" * 99_999),
        pytest.param(Step(200, b"{}", {"Content-Type": "text/html", "Content-Length": "9"}), marks=pytest.mark.nightly),
        Step(429), Step(429, b"no JSON"),
    ],
    ids=lambda step: f"{step.status}-{step.wire}-{(step.body or b'')[:8]!r}",
)  # fmt: skip
def test_passing_trouble_is_retried(tmp_path: Path, trouble: Step) -> None:
    with serving(catalogue(1)) as server:
        server.script("/3/movie/1", trouble, trouble)
        table, facts = crawled(server, tmp_path, by_tmdb(1), patience=patience_for(trouble))
    assert table["overview"].to_pylist() == ["Movie 1"]
    assert (len(server.log), facts["fetched"], facts["failed"]) == (3, 1, 0)


@pytest.mark.parametrize(
    ("trouble", "requests", "count"),
    [
        (Step(500), 4, "failed"),
        (Step(wire="reset"), 4, "failed"),
        (Step(delay=4), 4, "failed"),
        (Step(200, b"nonsense"), 4, "broken"),
        (Step(200, b"{}"), 1, "broken"),
        (Step(200, details(2)), 1, "broken"),
        (Step(200, b" " * (9 << 20)), 1, "broken"),
        (Step(200, gzip.compress(b" " * (1 << 26), mtime=0), {"Content-Encoding": "gzip"}), 1, "broken"),
        (Step(422, b'{"status_code":20}'), 1, "failed"),
        (Step(404, b"<html>nginx</html>"), 1, "failed"),
        (Step(301, b"", {"Location": "/3/movie/2"}), 1, "failed"),
    ],
    ids=lambda value: f"{value.status}-{value.wire}-{(value.body or b'')[:8]!r}" if isinstance(value, Step) else None,
)
def test_lasting_trouble_is_counted_and_not_cached(tmp_path: Path, trouble: Step, requests: int, count: str) -> None:
    with serving(catalogue(1, 2)) as server:
        server.script("/3/movie/1", *[trouble] * requests)
        table, facts = crawled(server, tmp_path, by_tmdb(1, 2), patience=patience_for(trouble))
        assert server.routes.count("/3/movie/1") == requests
        assert (table["tmdb_id"].to_pylist(), facts[count], facts["fetched"]) == ([2], 1, 1)
        table, facts = crawled(server, tmp_path, by_tmdb(1, 2))
    assert (table["tmdb_id"].to_pylist(), facts["fetched"], facts["cached"]) == ([1, 2], 1, 1)


def test_a_trickling_body_ends_by_the_whole_deadline(tmp_path: Path) -> None:
    with serving({}) as server:
        server.always = Step(200, LONG, wire="drip")
        began = time.monotonic()
        _, facts = crawled(server, tmp_path, by_tmdb(1), patience=QUICK.model_copy(update={"attempts": 1}))
    assert time.monotonic() - began < 15
    assert facts["failures"] == {"timeout": 1}


@pytest.mark.parametrize("status", [401, 403])
def test_a_rejected_token_stops_at_once(tmp_path: Path, status: int) -> None:
    body = b'{"status_code":7,"status_message":"Invalid API key: You must be granted a valid key.","success":false}'
    with serving({}) as server:
        server.always = Step(status, body)
        with pytest.raises(MetadataCredentialsError, match=f"TMDB_API_TOKEN to be accepted; found HTTP {status}"):
            crawled(server, tmp_path, by_tmdb(*range(1, 200)), limits={"concurrency": 4})
    assert len(server.log) <= 4


@pytest.mark.parametrize("how", ["seconds", "date", "date by a clock that is an hour ahead"])
def test_retry_after_is_kept_by_everybody(tmp_path: Path, how: str) -> None:
    with serving(catalogue(*range(1, 30))) as server:
        # A date has whole seconds: two of them are at least one.
        ahead = timedelta(hours=1 if "ahead" in how else 0)
        soon = datetime.now(UTC) + ahead + timedelta(seconds=2)
        headers = {"Retry-After": "1" if how == "seconds" else format_datetime(soon, usegmt=True)}
        if ahead:
            headers["Date"] = format_datetime(datetime.now(UTC) + ahead, usegmt=True)
        server.script("/3/movie/5", Step(429, b"{}", headers))
        _, facts = crawled(server, tmp_path, by_tmdb(*range(1, 30)), rate=100)
    assert facts["fetched"] == 29
    times = [asked.at for asked in server.log]
    assert max(after - before for before, after in pairwise(times)) > 0.8
    refused = next(asked.at for asked in server.log if asked.route == "/3/movie/5")
    assert not [at for at in times if refused + 0.15 < at < refused + 0.8]


def test_a_wait_of_hours_stops_the_crawl_and_says_until_when(tmp_path: Path) -> None:
    with serving(catalogue(1, 2)) as server:
        server.script("/3/movie/2", Step(429, b"{}", {"Retry-After": "7200"}))
        one_by_one = {"concurrency": 1}
        with pytest.raises(MetadataQuotaError, match="1 of 2 movies are answered and cached") as stopped:
            crawled(server, tmp_path, by_tmdb(1, 2), limits=one_by_one)
        assert timedelta(hours=1.9) < stopped.value.retry_at - datetime.now(UTC) < timedelta(hours=2.1)
        crawled(server, tmp_path, by_tmdb(1, 2), limits=one_by_one)
    assert server.routes == ["/3/movie/1", "/3/movie/2", "/3/movie/2"]


def test_a_service_that_is_down_is_left_alone(tmp_path: Path) -> None:
    with serving({}) as server:
        server.always = Step(503)
        with pytest.raises(MetadataUnavailableError, match="20 queries in a row"):
            crawled(server, tmp_path, by_tmdb(*range(1, 500)))
    assert len(server.log) <= 4 * (20 + 8)
    with pytest.raises(MetadataUnavailableError, match="connection failed"):  # it is not even there any more
        crawled(server, tmp_path, by_tmdb(*range(1, 500)))


def test_failures_are_tolerated_up_to_a_share(tmp_path: Path) -> None:
    movies = range(1, 101)
    with serving(catalogue(*movies)) as server:
        for movie in (3, 50, 77):
            server.script(f"/3/movie/{movie}", *[Step(200, b"{}")] * 2)
        _, facts = crawled(server, tmp_path / "a", by_tmdb(*movies), limits={"max_failed_share": 0.03})
        assert (facts["fetched"], facts["broken"]) == (97, 3)
        with pytest.raises(MetadataUnavailableError, match=r"at most 2.0% of 100 .* found 3"):
            crawled(server, tmp_path / "b", by_tmdb(*movies), limits={"max_failed_share": 0.02})


def test_a_wrong_address_is_not_an_empty_catalogue(tmp_path: Path) -> None:
    with serving({}) as server, pytest.raises(MetadataUnavailableError, match="Check base_url"):
        crawled(server, tmp_path, by_tmdb(*range(1, 31)))
