import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from storage.errors import MetadataUnavailableError
from storage.sources.web import crawl as crawling
from storage.sources.web.crawl import OUTAGES_IN_A_ROW, CrawlProgress, crawl
from storage.sources.web.fetch import Fetcher, GivenUpError
from storage.sources.web.response_cache import ResponseCache
from storage.sources.web.service import MovieIds, Query
from storage.sources.web.tmdb_api import TmdbApi

SERVICE = TmdbApi(concurrency=1, max_failed_share=1.0)  # one movie after another
OUTAGE = GivenUpError("HTTP 500", outage=True)
BROKEN = GivenUpError("expected JSON; found something else", outage=False, broken=True)


class Script:
    """A fetcher that gives the movies of a script in order, or raises its errors."""

    def __init__(self, script: Iterable[GivenUpError | None]) -> None:
        self.script = iter(script)
        self.asked: list[str] = []

    async def ask(self, query: Query) -> tuple[bool, bytes]:
        self.asked.append(query.path)
        if (error := next(self.script, None)) is not None:
            raise error
        return False, b'{"id": %s}' % query.path.removeprefix("movie/").encode()


def crawled(folder: Path, script: list[GivenUpError | None], **more: Any) -> dict[str, Any]:
    ids = [MovieIds(movie, None) for movie in range(1, len(script) + 1)]
    return asyncio.run(crawl(ids, SERVICE, ResponseCache(folder), cast(Fetcher, Script(script)), **more))[1]


@pytest.mark.parametrize("between", [None, BROKEN], ids=["an answer", "a broken answer"])
def test_any_answer_shows_that_the_service_is_up(tmp_path: Path, between: GivenUpError | None) -> None:
    few = [OUTAGE] * (OUTAGES_IN_A_ROW - 1)
    facts = crawled(tmp_path, [*few, between, *few, None])
    assert facts["failed"] == 2 * len(few)


def test_too_many_outages_in_a_row_end_the_crawl_and_keep_what_was_answered(tmp_path: Path) -> None:
    script = [None, None, *[OUTAGE] * OUTAGES_IN_A_ROW, None]
    with pytest.raises(MetadataUnavailableError, match=r"found 20 queries in a row .* 2 of 23 movies are answered"):
        crawled(tmp_path, script)
    assert len(list(tmp_path.glob("??/*.response"))) == 2


def test_an_answer_that_expires_too_early_is_asked_for_again(tmp_path: Path) -> None:
    assert crawled(tmp_path, [None] * 3)["fetched"] == 3
    within = datetime.now(UTC) + timedelta(days=SERVICE.cache_days - 1)
    assert crawled(tmp_path, [None] * 3, until=within)["cached"] == 3
    assert crawled(tmp_path, [None] * 3, until=within + timedelta(days=2))["fetched"] == 3


def test_the_time_left_follows_the_pace_of_the_last_movies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crawling, "time", SimpleNamespace(monotonic=lambda: 300.0))
    state = crawling._Crawl(SERVICE, ResponseCache(tmp_path), None, datetime.now(UTC), total=100)
    assert state.progress() == CrawlProgress(0, 100, None, {})
    state.counts.update(fetched=25, cached=5)
    state.recent.extend(range(0, 300, 10))  # a movie in ten seconds
    assert state.progress() == CrawlProgress(30, 100, 700.0, {"fetched": 25, "cached": 5})
    state.counts.update(absent=70)
    assert state.progress().eta_seconds == 0
