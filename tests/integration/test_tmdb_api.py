"""TMDB's client against a server on loopback that replays recorded answers and misbehaves on purpose."""

import gzip
import json
import logging
import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import pytest
from integration.crawl_support import CALM, LENIENT, QUICK, TOKEN, V3_KEY, by_tmdb, catalogue, crawled, details
from integration.replay_server import ReplayServer, Step, serving

from storage.errors import MetadataCredentialsError, MetadataQuotaError, MetadataUnavailableError
from storage.sources.web.crawl import CrawlProgress
from storage.sources.web.fetch import Patience
from storage.sources.web.response_cache import ResponseCache
from storage.sources.web.service import MovieIds
from storage.tables import SOURCE_SCHEMA


def everything_written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_recorded_answers_become_rows(real_data: Path, tmp_path: Path) -> None:
    recorded = {path.stem: path.read_bytes() for path in Path(real_data, "tmdb-api").glob("*.json")}
    answers = {
        "/3/movie/607": recorded["movie_details_607"],
        "/3/movie/10140": recorded["movie_details_10140"],
        "/3/movie/550": recorded["movie-details-append-response"],
        "/3/movie/9443": recorded["movie-blank-homepage-release-date"],
        "/3/find/tt0137523": recorded["find-imdb-id-movie"],
    }
    ids = [
        MovieIds(607, "tt0119654"),
        MovieIds(10140, None),
        MovieIds(None, "tt0137523"),
        MovieIds(9443, None),
        MovieIds(5, "tt5"),
    ]
    with serving(answers, Step(404, recorded["error-status-response"])) as server:
        table, facts = crawled(server, tmp_path, ids)
    assert table.schema == SOURCE_SCHEMA
    men, dawn, club, chariots = table.to_pylist()
    assert (men["tmdb_id"], men["imdb_id"], men["original_title"]) == (607, "tt0119654", "Men in Black")
    assert men["cast"] == ["Tommy Lee Jones", "Will Smith", "Linda Fiorentino", "Vincent D'Onofrio", "Rip Torn"]
    assert (men["directors"], men["writers"]) == (["Barry Sonnenfeld"], ["Ed Solomon", "Lowell Cunningham"])
    assert (men["certification"], men["collection"]) == ("PG-13", "Men In Black Collection")
    assert (men["budget_usd"], men["revenue_usd"], men["runtime_minutes"]) == (90_000_000, 589_390_539, 98)
    assert (men["languages"], men["countries"]) == (["English", "Spanish"], ["United States of America"])
    assert men["release_date"].isoformat() == "1997-07-02"
    assert men["adult"] is False
    assert dawn["certification"] == "PG"
    assert (club["tmdb_id"], club["imdb_id"], club["certification"]) == (550, "tt0137523", "R")
    assert club["keywords"] == ["dual identity", "based on novel or book"]
    assert chariots["release_date"] is None
    assert (facts["fetched"], facts["absent"], facts["failed"]) == (4, 1, 0)


def test_one_request_asks_for_everything_with_the_token_in_the_header(tmp_path: Path) -> None:
    with serving(catalogue(1)) as server:
        crawled(server, tmp_path, by_tmdb(1))
    (asked,) = server.log
    assert asked.target == "/3/movie/1?append_to_response=credits%2Ckeywords%2Crelease_dates&language=en-US"
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"


def test_the_proxy_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(catalogue(1)) as server:
        monkeypatch.setenv("http_proxy", server.url)
        server.url = "http://tmdb.invalid"  # reached through the proxy alone
        assert crawled(server, tmp_path, by_tmdb(1))[1]["fetched"] == 1
    assert server.log[0].target.startswith("http://tmdb.invalid/3/movie/1?")


def test_find_stands_in_for_an_unknown_or_absent_tmdb_id(tmp_path: Path) -> None:
    found = json.dumps({"movie_results": [{"id": 2}]}).encode()
    answers = catalogue(2) | {"/3/find/tt0000002": found, "/3/find/tt0000009": b'{"movie_results":[]}'}
    ids = [MovieIds(1, "tt0000002"), MovieIds(None, "tt0000009"), MovieIds(None, None)]
    with serving(answers) as server:
        table, facts = crawled(server, tmp_path, ids)
        again, facts_again = crawled(server, tmp_path, ids)
    assert table["tmdb_id"].to_pylist() == [2]
    assert again.equals(table)
    assert (facts["fetched"], facts["absent"]) == (1, 2)
    assert (facts_again["cached"], facts_again["absent"], facts_again["requests"]) == (1, 2, 0)
    assert sorted(server.routes) == ["/3/find/tt0000002", "/3/find/tt0000009", "/3/movie/1", "/3/movie/2"]


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
        Step(200, b"{}", {"Content-Type": "text/html", "Content-Length": "9"}), Step(429), Step(429, b"no JSON"),
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


def test_cached_answers_need_no_request_and_asked_again_when_they_expire(tmp_path: Path) -> None:
    movies = range(1, 1001)
    with serving(catalogue(*movies)) as server:
        crawled(server, tmp_path, by_tmdb(*movies), rate=5000, limits={"concurrency": 16})
        assert len(server.log) == 1000
        table, facts = crawled(server, tmp_path, by_tmdb(*movies, *movies))
        assert (table.num_rows, facts["cached"], facts["requests"], len(server.log)) == (1000, 1000, 0, 1000)
        offline, facts = crawled(server, tmp_path, by_tmdb(*movies, 9999), offline=True)
        assert offline.equals(table)
        assert (facts["not_cached"], len(server.log)) == (1, 1000)
        later = datetime.now(UTC) + timedelta(days=179)
        crawled(server, tmp_path, by_tmdb(1), until=later)
        assert len(server.log) == 1000
        crawled(server, tmp_path, by_tmdb(1), until=later + timedelta(days=2))
        assert len(server.log) == 1001
        with pytest.raises(MetadataUnavailableError, match="Run once without offline"):
            crawled(server, tmp_path / "empty", by_tmdb(1), offline=True)


def test_movies_that_share_an_id_ask_once(tmp_path: Path) -> None:
    with serving(catalogue(1)) as server:
        server.script("/3/movie/1", Step(delay=0.2))
        crawled(server, tmp_path, [MovieIds(1, "tt1"), MovieIds(1, "tt2"), MovieIds(1, None)])
    assert server.routes == ["/3/movie/1"]


def test_progress_tells_done_total_and_time_left(tmp_path: Path) -> None:
    movies, told = range(1, 61), list[CrawlProgress]()
    with serving(catalogue(*movies)) as server:
        crawled(server, tmp_path, by_tmdb(*movies), rate=40, progress=told.append, report_seconds=0.2)
    assert len(told) > 3
    assert told[-1] == CrawlProgress(60, 60, 0.0, {"fetched": 60})
    middle = told[len(told) // 2]
    assert middle.done == sum(middle.counts.values())
    assert middle.eta_seconds is not None  # its value is in tests/unit/storage/sources/web/test_crawl.py


def test_a_bar_that_cannot_be_drawn_ends_nothing(tmp_path: Path) -> None:
    def broken(_: CrawlProgress) -> None:
        raise RuntimeError("no bar")

    with serving(catalogue(1)) as server:
        assert crawled(server, tmp_path, by_tmdb(1), progress=broken)[1]["fetched"] == 1


@pytest.mark.parametrize("secret", [TOKEN, V3_KEY])
def test_the_key_is_on_the_wire_and_nowhere_else(
    tmp_path: Path, nobody: str, caplog: pytest.LogCaptureFixture, secret: str
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")  # someone turns its log on
    seen = []

    def provoke(server: ReplayServer) -> None:
        for step in (
            Step(301, b"", {"Location": f"{nobody}{{target}}"}),
            Step(401),
            Step(wire="reset"),
            Step(500),
            Step(429),
        ):
            server.always = step
            try:
                crawled(server, tmp_path, by_tmdb(7), secret=secret, limits={"max_failed_share": 0})
            except Exception as error:
                seen.append("".join(traceback.format_exception(error)))

    with serving(catalogue(1)) as server:
        _, facts = crawled(server, tmp_path, by_tmdb(1), secret=secret)
        provoke(server)
    assert len(seen) == 5
    if secret == V3_KEY:
        assert all(f"api_key={V3_KEY}" in asked.target for asked in server.log)
        assert not any("Authorization" in asked.headers for asked in server.log)
    else:
        assert all(asked.headers["Authorization"] == f"Bearer {TOKEN}" for asked in server.log)
    told = "".join(seen) + caplog.text + json.dumps(facts)
    assert "HTTP Request: GET" in told
    assert secret not in told
    assert secret.encode() not in everything_written(tmp_path)


def test_damage_in_the_cache_heals_by_asking_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(catalogue(1, 2, 3)) as server:
        table, _ = crawled(server, tmp_path, by_tmdb(1, 2, 3))
        torn, flipped, _ = sorted((tmp_path / "responses").glob("??/*.response"))
        torn.write_bytes(torn.read_bytes()[:-3])
        data = bytearray(flipped.read_bytes())
        data[-5] ^= 1
        flipped.write_bytes(data)
        again, facts = crawled(server, tmp_path, by_tmdb(1, 2, 3))
    assert again.equals(table)
    assert (facts["cached"], facts["fetched"], len(server.log)) == (1, 2, 5)
    assert caplog.text.count("it is damaged") == 2


def test_expired_answers_leave_the_disk(tmp_path: Path) -> None:
    with serving(catalogue(1, 2)) as server:
        crawled(server, tmp_path, by_tmdb(1), limits=LENIENT | {"cache_days": 1e-9})
        crawled(server, tmp_path, by_tmdb(2))
    cache = ResponseCache(tmp_path / "responses")
    assert cache.purge() == 1
    assert len(list(cache.folder.glob("??/*"))) == 1
