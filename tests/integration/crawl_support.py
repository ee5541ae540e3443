"""One crawl against a server on loopback, and bodies to answer with."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from integration.replay_server import ReplayServer
from pydantic import SecretStr

from storage.sources.web.crawl import crawl
from storage.sources.web.fetch import Fetcher, Patience
from storage.sources.web.omdb_api import OmdbApi
from storage.sources.web.rate_limit import RateLimiter
from storage.sources.web.response_cache import ResponseCache
from storage.sources.web.service import MovieIds, WebService
from storage.sources.web.tmdb_api import TmdbApi

TOKEN = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LXRva2Vu.Zm9yLXRlc3Rz"
V3_KEY = "0123456789abcdef0123456789ABCDEF"
OMDB_KEY = "s3cretk3y"
CALM = Patience(attempts=4, first_delay_seconds=0.02, longest_delay_seconds=0.05)
QUICK = CALM.model_copy(update={"silence_seconds": 2.5, "whole_seconds": 5.0})  # where waiting is what is tested
LENIENT: dict[str, Any] = {"max_failed_share": 1.0}  # parameters of the service


def crawled(
    server: ReplayServer,
    folder: Path,
    ids: list[MovieIds],
    *,
    secret: str | None = None,
    omdb: bool = False,
    patience: Patience = CALM,
    limits: dict[str, Any] = LENIENT,
    rate: float = 500,
    offline: bool = False,
    **more: Any,
) -> tuple[pa.Table, dict[str, Any]]:
    service: WebService = OmdbApi() if omdb else TmdbApi()
    # Not validated, so that tests may use other addresses and durations than users.
    service = service.model_copy(update={"base_url": server.url + ("" if omdb else "/3"), "concurrency": 8} | limits)
    credential = service.credential(SecretStr(secret or (OMDB_KEY if omdb else TOKEN)))
    cache = ResponseCache(folder / "responses")

    async def run() -> tuple[pa.Table, dict[str, Any]]:
        if offline:
            return await crawl(ids, service, cache, None, **more)
        limiter = RateLimiter(folder / "rate", rate)
        async with Fetcher.opened(service, credential, limiter, patience) as fetcher:
            return await crawl(ids, service, cache, fetcher, **more)

    return asyncio.run(run())


def details(movie: int, **more: Any) -> bytes:
    return json.dumps({"id": movie, "imdb_id": f"tt{movie:07}", "overview": f"Movie {movie}", **more}).encode()


def catalogue(*movies: int) -> dict[str, bytes]:
    return {f"/3/movie/{movie}": details(movie) for movie in movies}


def by_tmdb(*movies: int) -> list[MovieIds]:
    return [MovieIds(movie, None) for movie in movies]


def title(imdb_id: str, **more: Any) -> bytes:
    return json.dumps({"Response": "True", "imdbID": imdb_id, "Title": "T", "Plot": "Plot.", **more}).encode()
