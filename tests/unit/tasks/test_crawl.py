"""What a crawl's digest depends on, and what its parameters refuse."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from storage.sources.web.crawl import CrawlProgress
from tasks.crawl import FetchWindow, OmdbApiParams, TmdbApiParams, progress_text


def test_a_window_holds_today_and_passes(tmp_path: Path) -> None:
    params = TmdbApiParams(window_days=7, responses=tmp_path)
    day = date(2026, 11, 24)
    windows = [FetchWindow.now("tmdb", params, day + timedelta(days=days)) for days in range(15)]
    assert len(set(map(str, windows))) in (3, 4)
    for days, window in enumerate(windows):
        assert window.begins <= day + timedelta(days=days) < window.ends
        assert window.ends - window.begins == timedelta(days=7)


def test_offline_the_window_knows_what_is_cached(tmp_path: Path) -> None:
    params = OmdbApiParams(offline=True, responses=tmp_path)
    before = FetchWindow.now("omdb", params)
    (tmp_path / "omdb" / "aa").mkdir(parents=True)
    (tmp_path / "omdb" / "aa" / "bb.response").write_bytes(b"x")
    after = FetchWindow.now("omdb", params)
    assert after.cached != before.cached
    assert after.ends - after.begins == timedelta(days=1)
    online = params.model_copy(update={"offline": False})
    assert FetchWindow.now("omdb", online).cached == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "http://api.themoviedb.org/3"}, {"base_url": "ftp://x"}, {"base_url": "https://user:pw@host/3"},
        {"base_url": "https://host/3?api_key=1"}, {"cache_days": 200}, {"window_days": 31}, {"token": "x"},
        {"requests_per_second": 0}, {"language": "english"}, {"max_failed_share": 2},
    ],
)  # fmt: skip
def test_parameters_are_bounded(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TmdbApiParams(**wrong)


def test_the_progress_line() -> None:
    now = CrawlProgress(1500, 27_278, 754.4, {"fetched": 400, "cached": 1090, "not_cached": 10})
    assert progress_text("tmdb", now) == (
        "TMDB: 1,500 of 27,278 movies, about 0:12:34 left. cached 1,090; fetched 400; not cached 10"
    )
