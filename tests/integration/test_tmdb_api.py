"""TMDB's client against a server on loopback that replays recorded answers: rows, queries, cache, progress, secrets."""

import json
import logging
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from integration.crawl_support import LENIENT, TOKEN, V3_KEY, by_tmdb, catalogue, crawled
from integration.replay_server import ReplayServer, Step, serving

from storage.errors import MetadataUnavailableError
from storage.sources.web.crawl import CrawlProgress
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
