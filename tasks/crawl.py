"""Crawls of metadata services: one more metadata table per enabled service, re-used while its window lasts."""

import asyncio
import logging
import os
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from prefect.blocks.system import Secret
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from storage.artifacts.store import ArtifactRef, Draft
from storage.errors import MetadataCredentialsError
from storage.home import home
from storage.sources.web.crawl import CrawlProgress, crawl
from storage.sources.web.fetch import Fetcher
from storage.sources.web.rate_limit import RateLimiter
from storage.sources.web.response_cache import ResponseCache
from storage.sources.web.service import MovieIds, WebService
from storage.sources.web.services import WebServices, enabled_services
from tasks.caching import artifact_store, artifact_task
from tasks.progress import Progress
from tasks.steps import in_words
from tasks.story import show_table

logger = logging.getLogger("marquee.crawl")


class FetchWindow(BaseModel):
    """The days in which a finished table is re-used; in a digest it stands for "what the service says now"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = Field(description="Address of the service.")
    begins: date = Field(description="First day (UTC) of the window in which a finished table is re-used.")
    ends: date = Field(description="First day after the window; no answer in the table expires before it.")
    cached: str = Field("", description="Offline: a hash of the cached responses, the only ones that are used.")

    @classmethod
    def now(cls, service: WebService, today: date | None = None) -> Self:
        """The window of today (UTC); offline it is one day long, so that few valid answers are left out."""
        days = 1 if service.offline else service.window_days
        first = (today or datetime.now(UTC).date()).toordinal() // days * days
        begins, ends = date.fromordinal(first), date.fromordinal(first + days)
        cached = response_cache(service).state() if service.offline else ""
        return cls(base_url=service.base_url, begins=begins, ends=ends, cached=cached)

    @property
    def until(self) -> datetime:
        """The moment the window ends."""
        return datetime(self.ends.year, self.ends.month, self.ends.day, tzinfo=UTC)


def crawl_services(catalogue: ArtifactRef, services: WebServices) -> dict[str, ArtifactRef]:
    """One `<name>-responses` artifact per enabled service, by name, the most trusted first.

    A table made in the current window of `window_days` days is re-used. In a new window it is made again: answers that
    expire before the window ends are asked for again, all others come from the cached responses.
    """
    tables = {}
    for name, service in enabled_services(services).items():
        make = artifact_task(f"{name}-responses", outside=("services",))(make_responses)
        tables[name] = make(catalogue, name, FetchWindow.now(service), service.table_parameters(), services)
    return tables


def make_responses(
    draft: Draft,
    catalogue: ArtifactRef,
    name: str,
    window: FetchWindow,
    parameters: dict[str, Any],
    services: WebServices,
) -> None:
    """Ask one service for every movie of a catalogue: `metadata.parquet` in SOURCE_SCHEMA."""
    service = enabled_services(services)[name]
    movies = pq.read_table(artifact_store().open(catalogue) / "catalogue.parquet", columns=["tmdb_id", "imdb_id"])
    ids = [MovieIds(*pair) for pair in zip(movies["tmdb_id"].to_pylist(), movies["imdb_id"].to_pylist(), strict=True)]
    cache = response_cache(service)
    expired = cache.purge()
    bar = Progress(f"{name}-crawl", f"Movies asked of {name.upper()}")

    def show(now: CrawlProgress) -> None:
        bar.show(now.done, max(now.total, 1), progress_text(name, now))

    async def run() -> tuple[pa.Table, dict[str, Any]]:
        async with nullcontext() if service.offline else open_fetcher(service, cache) as fetcher:
            return await crawl(ids, service, cache, fetcher, window.until, show)

    table, facts = asyncio.run(run())
    pq.write_table(table, draft.path / "metadata.parquet")
    draft.rows = table.num_rows
    draft.facts = facts | {"expired_responses_removed": expired, "reused_until": window.ends.isoformat()}
    draft.licences = [*draft.licences, service.licence]
    logger.info("%s: %s", name, in_words(draft.facts))
    show_table(
        f"{name}-responses",
        [{"what": what, "value": str(value)} for what, value in draft.facts.items()],
        f"What {name.upper()} answered. {service.licence}",
    )


def open_fetcher(service: WebService, cache: ResponseCache) -> AbstractAsyncContextManager[Fetcher]:
    """A fetcher with the service's key and the rate that all processes share."""
    limiter = RateLimiter(cache.folder / "rate", service.requests_per_second)
    return Fetcher.opened(service, service.credential(find_key(service.key_variable)), limiter)


def response_cache(service: WebService) -> ResponseCache:
    """The cached responses of a service."""
    return ResponseCache((service.responses or home() / "responses") / service.name)


def progress_text(name: str, now: CrawlProgress) -> str:
    """A line for the progress bar: movies done, time left, and counts of the outcomes."""
    left = "" if now.eta_seconds is None else f", about {timedelta(seconds=round(now.eta_seconds))} left"
    counts = "; ".join(f"{what.replace('_', ' ')} {count:,}" for what, count in sorted(now.counts.items()))
    return f"{name.upper()}: {now.done:,} of {now.total:,} movies{left}. {counts}"


def find_key(variable: str) -> SecretStr:
    """A key from an environment variable, else from the Prefect Secret block of the same name (A_B: a-b).

    Raises:
        MetadataCredentialsError: neither exists.
    """
    if value := os.environ.get(variable):
        return SecretStr(value)
    block = variable.lower().replace("_", "-")
    try:
        return SecretStr(str(Secret.load(block).get()))  # type: ignore[union-attr]
    except ValueError:  # no such block
        raise MetadataCredentialsError(
            f"{variable}: expected a key in this environment variable or in the Prefect Secret block {block!r}; "
            "found neither. Set one, or set offline to use cached responses only."
        ) from None
