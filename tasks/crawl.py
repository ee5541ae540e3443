"""TMDB and OMDb asked over the network: one more metadata table each, crawled politely, resumed, re-used while fresh."""

import asyncio
import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from prefect.artifacts import create_table_artifact
from prefect.blocks.system import Secret
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from storage.artifacts.store import ArtifactRef, Draft
from storage.errors import MetadataCredentialsError
from storage.sources.licences import LICENCES
from storage.sources.web.crawl import CrawlLimits, CrawlProgress, MetadataApi, MovieIds, crawl
from storage.sources.web.fetch import LOOPBACK, Credential, Fetcher
from storage.sources.web.omdb_api import KEY_VARIABLE, OmdbApi, omdb_credential
from storage.sources.web.rate_limit import RateLimiter
from storage.sources.web.response_cache import ResponseCache
from storage.sources.web.tmdb_api import TOKEN_VARIABLE, TmdbApi, tmdb_credential
from tasks.caching import artifact_store, artifact_task, home
from tasks.progress import Progress

logger = logging.getLogger("marquee.crawl")


class ApiParams(BaseModel):
    """Whether and how one metadata service is asked; the key is never a parameter."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    enabled: bool = Field(False, description="Ask this service; needs its key in the environment or a Secret block.")
    base_url: str = Field(description="Where the service answers; https, except on this machine.")
    requests_per_second: float = Field(
        gt=0, le=1000, description="Rate that all processes sharing the responses folder keep together."
    )
    concurrency: int = Field(8, ge=1, le=64, description="Movies in flight at a time, per process.")
    cache_days: int = Field(180, ge=1, le=183, description="Days an answer is kept and used; TMDB allows six months.")
    absent_days: int = Field(30, ge=1, le=183, description="Days it is remembered that there is no such movie.")
    window_days: int = Field(
        30, ge=1, le=183, description="A finished table is re-used by all runs of one window of so many days."
    )
    max_failed_share: float = Field(0.05, ge=0, le=1, description="Share of movies that may stay unanswered.")
    offline: bool = Field(False, description="Ask nothing; use what is cached.")
    responses: Path | None = Field(
        None, description="Folder of cached responses and of the shared rate; empty: responses/ in MARQUEE_HOME."
    )

    @field_validator("base_url")
    @classmethod
    def _keeps_the_key_safe(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            raise ValueError("base_url: expected https://…, since the key goes there; found another scheme.")
        if parts.hostname is None or "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("base_url: expected only a host and a path.")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _answers_outlive_the_window(self) -> Self:
        if self.window_days > min(self.cache_days, self.absent_days):
            raise ValueError(
                f"window_days: expected at most cache_days ({self.cache_days}) and absent_days ({self.absent_days}), "
                f"so that a table never holds expired answers; found {self.window_days}."
            )
        return self


class TmdbApiParams(ApiParams):
    """How TMDB's API v3 is asked; the token stands in TMDB_API_TOKEN or the Secret block tmdb-api-token."""

    base_url: str = Field("https://api.themoviedb.org/3", description="Where TMDB's API v3 answers.")
    requests_per_second: float = Field(30, gt=0, le=1000, description="TMDB names about 40 as its own bound.")
    language: str = Field("en-US", pattern=r"^[a-z]{2}(-[A-Z]{2})?$", description="Language of texts, as in en-US.")


class OmdbApiParams(ApiParams):
    """How OMDb is asked; the key stands in OMDB_API_KEY or the Secret block omdb-api-key."""

    base_url: str = Field("https://www.omdbapi.com", description="Where OMDb answers.")
    requests_per_second: float = Field(10, gt=0, le=1000, description="A free key has 1,000 requests a day in all.")
    concurrency: int = Field(4, ge=1, le=64, description="Titles in flight at a time, per process.")


class FetchWindow(BaseModel):
    """What stands for "as the service says it now" in a digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = Field(description="The service asked.")
    begins: date = Field(description="First day (UTC) of the window in which a finished table is re-used.")
    ends: date = Field(description="First day after it; no answer in the table expires before.")
    cached: str = Field("", description="Offline: a hash of the cached responses, which are then all there is.")

    @classmethod
    def now(cls, api: str, params: ApiParams, today: date | None = None) -> Self:
        """The window that today (UTC) lies in; offline just today, so that few valid answers are turned away."""
        days = 1 if params.offline else params.window_days
        first = (today or datetime.now(UTC).date()).toordinal() // days * days
        begins, ends = date.fromordinal(first), date.fromordinal(first + days)
        cached = response_cache(api, params).state() if params.offline else ""
        return cls(base_url=params.base_url, begins=begins, ends=ends, cached=cached)

    @property
    def until(self) -> datetime:
        """The moment the window ends."""
        return datetime(self.ends.year, self.ends.month, self.ends.day, tzinfo=UTC)


def crawl_services(identity: ArtifactRef, tmdb: TmdbApiParams, omdb: OmdbApiParams) -> dict[str, ArtifactRef]:
    """One metadata table per service that is enabled, the more trusted first."""
    tables = {"tmdb": crawl_tmdb(identity, tmdb)} if tmdb.enabled else {}
    return tables | ({"omdb": crawl_omdb(identity, omdb)} if omdb.enabled else {})


def crawl_tmdb(identity: ArtifactRef, params: TmdbApiParams) -> ArtifactRef:
    """The `tmdb-responses` artifact for the movies of `identity`: `metadata.parquet` in SOURCE_SCHEMA.

    A table made in the current window of `window_days` days is re-used as it is. In a new window it is made again, but
    only what expires before that window's end is asked again; all else comes from the cached responses.
    """
    return make_tmdb_responses(
        identity, FetchWindow.now("tmdb", params), params.language, params.max_failed_share, params
    )


def crawl_omdb(identity: ArtifactRef, params: OmdbApiParams) -> ArtifactRef:
    """The `omdb-responses` artifact for the movies of `identity`; otherwise as `crawl_tmdb`."""
    return make_omdb_responses(identity, FetchWindow.now("omdb", params), params.max_failed_share, params)


@artifact_task(
    "tmdb-responses",
    outside=("params",),
)
def make_tmdb_responses(
    draft: Draft,
    identity: ArtifactRef,
    window: FetchWindow,
    language: str,
    max_failed_share: float,
    params: TmdbApiParams,
) -> None:
    """Ask TMDB for every movie: details, keywords, credits and certification."""
    api = TmdbApi(params.base_url, language)
    draft.licences = [*draft.licences, LICENCES["tmdb"]]
    _crawl_into(draft, "tmdb", identity, window, params, api, lambda: tmdb_credential(_secret(TOKEN_VARIABLE)))


@artifact_task("omdb-responses", outside=("params",))
def make_omdb_responses(
    draft: Draft, identity: ArtifactRef, window: FetchWindow, max_failed_share: float, params: OmdbApiParams
) -> None:
    """Ask OMDb for every movie: ratings, awards, certification and plot."""
    api = OmdbApi(params.base_url)
    draft.licences = [*draft.licences, LICENCES["omdb"]]
    _crawl_into(draft, "omdb", identity, window, params, api, lambda: omdb_credential(_secret(KEY_VARIABLE)))


def response_cache(api: str, params: ApiParams) -> ResponseCache:
    """The cached responses of one service."""
    return ResponseCache((params.responses or home() / "responses") / api)


def _crawl_into(
    draft: Draft,
    name: str,
    identity: ArtifactRef,
    window: FetchWindow,
    params: ApiParams,
    api: MetadataApi,
    credential: Callable[[], Credential],
) -> None:
    movies = pq.read_table(artifact_store().open(identity) / "catalogue.parquet", columns=["tmdb_id", "imdb_id"])
    ids = [MovieIds(*pair) for pair in zip(movies["tmdb_id"].to_pylist(), movies["imdb_id"].to_pylist(), strict=True)]
    cache = response_cache(name, params)
    expired = cache.purge()
    limits = CrawlLimits(
        concurrency=params.concurrency,
        answer_days=params.cache_days,
        absent_days=params.absent_days,
        max_failed_share=params.max_failed_share,
    )
    bar = Progress(f"{name}-crawl", f"Movies asked of {name.upper()}")

    def show(now: CrawlProgress) -> None:
        bar.show(now.done, max(now.total, 1), progress_text(name, now))

    async def run() -> tuple[pa.Table, dict[str, Any]]:
        if params.offline:
            return await crawl(ids, api, cache, None, limits, window.until, show)
        limiter = RateLimiter(cache.folder / "rate", params.requests_per_second)
        async with Fetcher.opened(api, credential(), limiter, connections=params.concurrency) as fetcher:
            return await crawl(ids, api, cache, fetcher, limits, window.until, show)

    table, facts = asyncio.run(run())
    pq.write_table(table, draft.path / "metadata.parquet")
    draft.rows = table.num_rows
    draft.facts = facts | {"expired_responses_removed": expired, "reused_until": window.ends.isoformat()}
    logger.info("%s: %s", name, json.dumps(draft.facts))
    create_table_artifact(
        key=f"{name}-responses",
        table=[{"what": what, "value": str(value)} for what, value in draft.facts.items()],
        description=f"What {name.upper()} answered. {draft.licences[-1]}",
    )


def progress_text(name: str, now: CrawlProgress) -> str:
    """A line for the progress bar: how many, how long still, and what became of them."""
    left = "" if now.eta_seconds is None else f", about {timedelta(seconds=round(now.eta_seconds))} left"
    counts = "; ".join(f"{what.replace('_', ' ')} {count:,}" for what, count in sorted(now.counts.items()))
    return f"{name.upper()}: {now.done:,} of {now.total:,} movies{left}. {counts}"


def _secret(variable: str) -> SecretStr:
    """A key from the environment, else from the Prefect Secret block of the same name (tmdb-api-token, omdb-api-key).

    Raises:
        MetadataCredentialsError: there is neither.
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
