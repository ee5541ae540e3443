"""Crawls one service for all movies of a catalogue: cached answers first, then the network, several movies at a time."""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pyarrow as pa

from storage.errors import MetadataQuotaError, MetadataUnavailableError
from storage.sources.metadata.fields import Movie, source_table
from storage.sources.web.fetch import Fetcher, GivenUpError, json_object
from storage.sources.web.response_cache import Response, ResponseCache
from storage.sources.web.service import MovieIds, Query, StopAskingError, WebService

logger = logging.getLogger("marquee.crawl")

OUTAGES_IN_A_ROW = 20  # then the service is taken to be down
SUSPICIOUS = 20  # if so many movies are asked and all are unknown, the address is taken to be wrong
RECENT = 200  # movies that the estimate of the time left is based on


class CrawlProgress(NamedTuple):
    """How far a crawl is; the counts add up to `done`."""

    done: int
    total: int
    eta_seconds: float | None  # None: not known yet
    counts: dict[str, int]


class _NotCachedError(Exception):
    """The cache has no answer to a query."""


@dataclass
class _Crawl:
    """The state of one crawl."""

    service: WebService
    cache: ResponseCache
    fetcher: Fetcher | None
    until: datetime
    total: int
    counts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    outages: int = 0
    fetched: list[datetime] = field(default_factory=list)
    expiry: list[datetime] = field(default_factory=list)
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    async def movie(self, ids: MovieIds, *, network: bool) -> Movie | None:
        """One movie's row, counted; None if it is absent or stays unanswered.

        Raises:
            _NotCachedError: the network is needed but not allowed.
        """
        used: list[Response] = []
        asked = 0

        async def ask(query: Query) -> dict[str, Any] | None:
            nonlocal asked
            response = self._cached(query)
            if response is None:
                if not network or self.fetcher is None:
                    raise _NotCachedError
                # Movies that share an id wait for one another, so that their query is sent once.
                async with self.locks.setdefault(self._key(query), asyncio.Lock()):
                    response = self._cached(query) or await self._fetched(self.fetcher, query)
                asked += 1
            used.append(response)
            return None if response.absent else json_object(response.body)

        try:
            row = await self.service.movie(ids, ask)
        except GivenUpError as failure:
            self.counts["broken" if failure.broken else "failed"] += 1
            self.failures[failure.reason] += 1
            self._note_outage(failure)
            return None
        self.counts["absent" if row is None else "fetched" if asked else "cached"] += 1
        if row is not None:
            self.fetched.append(min(response.fetched_at for response in used))
            self.expiry.append(min(response.expires_at for response in used))
        return row

    def _key(self, query: Query) -> str:
        return f"GET {self.service.base_url.rstrip('/')}/{query.path}?{urlencode(query.params)}"

    def _cached(self, query: Query) -> Response | None:
        return self.cache.get(self._key(query), self.until)

    async def _fetched(self, fetcher: Fetcher, query: Query) -> Response:
        absent, body = await fetcher.ask(query)
        self.requests += 1
        self.outages = 0
        now = datetime.now(UTC)
        kept = timedelta(days=self.service.absent_days if absent else self.service.cache_days)
        response = Response(absent, body, now, now + kept)
        await asyncio.to_thread(self.cache.put, self._key(query), response)
        return response

    def _note_outage(self, failure: GivenUpError) -> None:
        self.outages = self.outages + 1 if failure.outage else 0
        if self.outages >= OUTAGES_IN_A_ROW:
            raise MetadataUnavailableError(
                f"{self.service.name}: expected answers; found {self.outages} queries in a row without one, the last: "
                f"{failure.reason}. {self.kept()}"
            )

    def kept(self) -> str:
        """How much is answered and how to continue, for error messages."""
        have = self.counts["fetched"] + self.counts["cached"] + self.counts["absent"]
        return (
            f"{have:,} of {self.total:,} movies are answered and cached: run again to continue, "
            "or set offline to continue without the others."
        )

    def progress(self) -> CrawlProgress:
        """How far the crawl is."""
        done = self.counts.total()
        eta = None
        if done >= self.total:
            eta = 0.0
        elif len(self.recent) > 1:
            eta = (self.total - done) * (time.monotonic() - self.recent[0]) / len(self.recent)
        return CrawlProgress(done, self.total, eta, dict(self.counts))

    def facts(self) -> dict[str, Any]:
        """Counts, reasons and dates of this crawl, for a manifest."""
        names = ("fetched", "cached", "absent", "failed", "broken", "not_cached")
        return {
            "source": self.service.name,
            "asked": self.total,
            **{name: self.counts[name] for name in names},
            "requests": self.requests,
            "failures": dict(self.failures.most_common(20)),
            "oldest_fetch": min(self.fetched).isoformat(timespec="seconds") if self.fetched else None,
            "newest_fetch": max(self.fetched).isoformat(timespec="seconds") if self.fetched else None,
            "expires": min(self.expiry).isoformat(timespec="seconds") if self.expiry else None,
        }


async def crawl(
    ids: Sequence[MovieIds],
    service: WebService,
    cache: ResponseCache,
    fetcher: Fetcher | None,
    until: datetime | None = None,
    progress: Callable[[CrawlProgress], None] | None = None,
    report_seconds: float = 2.0,
) -> tuple[pa.Table, dict[str, Any]]:
    """Ask a service for movies; cached answers that are still valid are not asked for again.

    Args:
        ids: repeated ones are asked once.
        service: the service, with its limits.
        cache: its responses.
        fetcher: None: offline, only cached answers are used.
        until: answers must stay valid until then, else they are asked for again; default: now.
        progress: called about every `report_seconds` in another thread, and at the end.
        report_seconds: see `progress`.

    Returns: a table in SOURCE_SCHEMA in the order of `ids`, and counts, reasons of failures, dates of the oldest and
        newest answer and of the first to expire.

    Raises:
        MetadataCredentialsError: the service rejects the key.
        MetadataQuotaError: the service stops answering for hours; says until when.
        MetadataUnavailableError: the service is down, more than `max_failed_share` of the movies stay unanswered, all of
            many movies are unknown to it, or, offline, no movie is cached. All answers received before are in the cache.
    """
    wanted = list(dict.fromkeys(ids))
    state = _Crawl(service, cache, fetcher, until or datetime.now(UTC), len(wanted))
    reporter = asyncio.create_task(_report(state, progress, report_seconds)) if progress else None
    rows: dict[MovieIds, Movie] = {}
    try:
        missing = await _from_cache(state, wanted, rows)
        if fetcher is None:
            state.counts["not_cached"] = len(missing)
        else:
            await _from_network(state, missing, rows)
    except StopAskingError as stop:
        raise MetadataQuotaError(
            f"{service.name}: expected answers; found that {stop.reason}. Run again after {stop.retry_at:%Y-%m-%d %H:%M} UTC. "
            f"{state.kept()}",
            stop.retry_at,
        ) from None
    finally:
        if reporter is not None:
            reporter.cancel()
            await asyncio.gather(reporter, return_exceptions=True)
    if progress:
        await _tell(progress, state.progress())
    _check_the_whole(state)
    table = source_table([rows[one] for one in wanted if one in rows])
    return table, state.facts()


async def _from_cache(state: _Crawl, wanted: list[MovieIds], rows: dict[MovieIds, Movie]) -> list[MovieIds]:
    """Add the cached movies to `rows`; returns those that are not cached."""
    missing = []
    for place, one in enumerate(wanted):
        try:
            row = await state.movie(one, network=False)
        except _NotCachedError:
            missing.append(one)
            continue
        if row is not None:
            rows[one] = row
        if place % 100 == 0:
            await asyncio.sleep(0)  # lets the progress be reported
    return missing


async def _from_network(state: _Crawl, missing: list[MovieIds], rows: dict[MovieIds, Movie]) -> None:
    """Add the missing movies to `rows`, `concurrency` at a time; an error that stops one worker stops all."""
    waiting = iter(missing)
    state.recent.append(time.monotonic())

    async def work() -> None:
        for one in waiting:
            row = await state.movie(one, network=True)
            state.recent.append(time.monotonic())
            if row is not None:
                rows[one] = row

    workers = [asyncio.create_task(work()) for _ in range(min(state.service.concurrency, len(missing)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def _check_the_whole(state: _Crawl) -> None:
    unanswered = state.counts["failed"] + state.counts["broken"]
    if unanswered > state.service.max_failed_share * state.total:
        raise MetadataUnavailableError(
            f"{state.service.name}: expected at most {state.service.max_failed_share:.1%} of {state.total:,} movies to stay "
            f"unanswered; found {unanswered:,}: {dict(state.failures.most_common(3))}. {state.kept()}"
        )
    if state.counts["absent"] == state.total >= SUSPICIOUS:
        raise MetadataUnavailableError(
            f"{state.service.name}: expected to find movies at {state.service.base_url}; found that all {state.total:,} are "
            "unknown there. Check base_url and the ids."
        )
    if state.total and state.counts["not_cached"] == state.total:
        raise MetadataUnavailableError(
            f"{state.service.name}: expected cached responses; found none for {state.total:,} movies in "
            f"{state.cache.folder}. Run once without offline."
        )


async def _report(state: _Crawl, progress: Callable[[CrawlProgress], None], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await _tell(progress, state.progress())


async def _tell(progress: Callable[[CrawlProgress], None], now: CrawlProgress) -> None:
    """Report in another thread: `progress` may call a server, and must neither delay the crawl nor end it."""
    try:
        await asyncio.to_thread(progress, now)
    except Exception as error:  # the progress bar is not worth a failed crawl
        logger.warning("progress could not be shown: %s", type(error).__name__)
