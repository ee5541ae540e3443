"""What the digest of a crawl depends on, and what a crawl makes of cached answers."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_artifacts_support import making

from storage.artifacts.store import ArtifactRef, Draft
from storage.sources.web.crawl import CrawlProgress
from storage.sources.web.omdb_api import OmdbApi
from storage.sources.web.response_cache import Response, ResponseCache
from storage.sources.web.services import WebServices
from storage.sources.web.tmdb_api import TmdbApi
from storage.tables import IDENTITY_SCHEMA
from tasks.crawl import FetchWindow, make_responses, progress_text, response_cache


def test_a_window_holds_today_and_passes(tmp_path: Path) -> None:
    params = TmdbApi(window_days=7, responses=tmp_path)
    day = date(2026, 11, 24)
    windows = [FetchWindow.now(params, day + timedelta(days=days)) for days in range(15)]
    assert len(set(map(str, windows))) in (3, 4)
    for days, window in enumerate(windows):
        assert window.begins <= day + timedelta(days=days) < window.ends
        assert window.ends - window.begins == timedelta(days=7)


def test_offline_the_window_knows_what_is_cached(tmp_path: Path) -> None:
    params = OmdbApi(offline=True, responses=tmp_path)
    before = FetchWindow.now(params)
    (tmp_path / "omdb" / "aa").mkdir(parents=True)
    (tmp_path / "omdb" / "aa" / "bb.response").write_bytes(b"x")
    after = FetchWindow.now(params)
    assert after.cached != before.cached
    assert after.ends - after.begins == timedelta(days=1)
    online = params.model_copy(update={"offline": False})
    assert FetchWindow.now(online).cached == ""


def test_the_progress_line() -> None:
    now = CrawlProgress(1500, 27_278, 754.4, {"fetched": 400, "cached": 1090, "not_cached": 10})
    assert progress_text("tmdb", now) == (
        "TMDB: 1,500 of 27,278 movies, about 0:12:34 left. cached 1,090; fetched 400; not cached 10"
    )


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> ArtifactRef:
    """Movies 1, 2 and 3; nothing is sent to Prefect."""
    monkeypatch.setattr("tasks.crawl.Progress", Mock())
    monkeypatch.setattr("tasks.crawl.show_table", Mock())
    rows = [{"movie_id": movie, "tmdb_id": movie, "imdb_id": None} for movie in (1, 2, 3)]
    with making("catalogue") as draft:
        pq.write_table(pa.Table.from_pylist(rows, schema=IDENTITY_SCHEMA), draft.path / "catalogue.parquet")
    return draft.committed


def keep(cache: ResponseCache, movie: int, expires: datetime) -> Path:
    """Put an answer into the cache; returns its file."""
    service, now = TmdbApi(), datetime.now(UTC)
    key = f"GET {service.base_url}/movie/{movie}?{urlencode(service.details(movie).params)}"
    cache.put(key, Response(False, b'{"id": %d}' % movie, now, expires))
    return cache.path(key)


def test_a_crawl_removes_expired_answers_and_uses_only_those_that_outlive_its_window(
    catalogue: ArtifactRef, tmp_path: Path
) -> None:
    today = datetime.now(UTC)
    window = FetchWindow(
        base_url=TmdbApi().base_url, begins=today.date(), ends=today.date() + timedelta(days=10), cached=""
    )
    services = WebServices(tmdb_api=TmdbApi(enabled=True, offline=True, responses=tmp_path))
    cache = response_cache(services.tmdb_api)
    files = [keep(cache, movie, today + timedelta(days=days)) for movie, days in ((1, 11), (2, 5), (3, -1))]
    unasked = keep(cache, 4, today - timedelta(days=1))
    draft = Draft(tmp_path / "draft", digest="")
    draft.path.mkdir()
    make_responses(draft, catalogue, "tmdb", window, {}, services)
    assert pq.read_table(draft.path / "metadata.parquet")["tmdb_id"].to_pylist() == [1]
    assert (draft.facts["cached"], draft.facts["not_cached"], draft.facts["expired_responses_removed"]) == (1, 2, 2)
    assert [file.exists() for file in (*files, unasked)] == [True, True, False, False]
    assert draft.licences == [TmdbApi.licence]
