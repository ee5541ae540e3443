"""The interface of a metadata service: its parameters, its questions, and how its answers are judged and read."""

import re
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from storage.errors import MetadataCredentialsError
from storage.sources.metadata.fields import Movie

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class MovieIds(NamedTuple):
    """A movie's outside ids; either may be unknown."""

    tmdb_id: int | None
    imdb_id: str | None


class Query(NamedTuple):
    """A question without secrets: the path below the service's base URL, and parameters."""

    path: str
    params: tuple[tuple[str, str], ...]


Ask = Callable[[Query], Awaitable[dict[str, Any] | None]]  # JSON object, or None: there is no such movie


class Verdict(NamedTuple):
    """What an answer is worth, and the reason if it cannot be used.

    answer: keep it; absent: the service does not know the movie; again: another attempt may succeed; broken: well-formed,
    but not what was asked for; failed: another attempt would not help.
    """

    kind: Literal["answer", "absent", "again", "broken", "failed"]
    reason: str = ""


class StopAskingError(Exception):
    """The service answers no requests until `retry_at`."""

    def __init__(self, reason: str, retry_at: datetime) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_at = retry_at


class Credential(NamedTuple):
    """A key, and the query parameter that carries it; without a parameter it is sent as a bearer token."""

    secret: SecretStr
    query_parameter: str | None = None


class WebService(BaseModel):
    """One metadata service: how it is asked (the fields) and what its answers mean (the methods).

    A subclass sets the class variables, gives `base_url` and `requests_per_second` defaults, may add parameters of its
    own, and implements `movie`, `is_absent` and `check`. The key is never a parameter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: ClassVar[str]  # names the table, the folder of responses and the log lines
    licence: ClassVar[str]  # the terms of the data in one sentence
    key_variable: ClassVar[str]  # environment variable with the key; `A_B` also names the Prefect Secret block `a-b`

    enabled: bool = Field(False, description="Ask this service; needs its key in the environment or a Secret block.")
    base_url: str = Field(description="Address of the service; https, except on this machine.")
    requests_per_second: float = Field(
        gt=0, le=1000, description="Request rate of all processes together that share the responses folder."
    )
    concurrency: int = Field(8, ge=1, le=64, description="Movies asked at a time, per process.")
    cache_days: int = Field(180, ge=1, le=183, description="Days an answer is kept and used; TMDB allows six months.")
    absent_days: int = Field(30, ge=1, le=183, description="Days for which a movie is remembered as absent.")
    window_days: int = Field(
        30, ge=1, le=183, description="Length in days of the window in which a finished table is re-used."
    )
    max_failed_share: float = Field(0.05, ge=0, le=1, description="Share of movies that may stay unanswered.")
    offline: bool = Field(False, description="Send no requests; use cached responses only.")
    responses: Path | None = Field(
        None, description="Folder of cached responses and of the shared rate; empty: responses/ in MARQUEE_HOME."
    )

    @field_validator("base_url")
    @classmethod
    def _keeps_the_key_safe(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            raise ValueError(
                "base_url: expected https://…, because the key is sent there; found another scheme. Use https."
            )
        if parts.hostname is None or "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("base_url: expected only a host and a path; found no host, or more. Correct the address.")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _answers_outlive_the_window(self) -> Self:
        if self.window_days > min(self.cache_days, self.absent_days):
            raise ValueError(
                f"window_days: expected at most cache_days ({self.cache_days}) and absent_days ({self.absent_days}), "
                f"so that a table never holds expired answers; found {self.window_days}. Lower it."
            )
        return self

    def table_parameters(self) -> dict[str, Any]:
        """The parameters that change the table: `max_failed_share`, and all that the service itself adds."""
        own = set(type(self).model_fields) - set(WebService.model_fields)
        return self.model_dump(mode="json", include=own | {"max_failed_share"})

    def credential(self, key: SecretStr) -> Credential:
        """The key as it is sent.

        Raises:
            MetadataCredentialsError: it is empty or has characters that no key has; the message does not show it.
        """
        stripped = key.get_secret_value().strip()
        if not re.fullmatch(r"[!-~]{1,4096}", stripped):
            raise MetadataCredentialsError(
                f"{self.key_variable}: expected a key of printable ASCII characters without spaces; found "
                f"{len(stripped)} characters that are not one. Copy it again from the service's account page."
            )
        return Credential(SecretStr(stripped), self.key_parameter(stripped))

    def key_parameter(self, key: str) -> str | None:
        """The query parameter that carries this key; None: it is sent as a bearer token."""
        return None

    @abstractmethod
    async def movie(self, ids: MovieIds, ask: Ask) -> Movie | None:
        """A row of SOURCE_SCHEMA, asked for with one or more queries; None if the service does not know the movie."""

    @abstractmethod
    def is_absent(self, status: int, body: dict[str, Any] | None) -> bool:
        """Whether an answer says that there is no such movie.

        Args:
            status: of HTTP.
            body: the JSON object of the answer, None if it is not one.

        Raises:
            MetadataCredentialsError: the service rejects the key.
            StopAskingError: the service answers no requests for a long time.
        """

    @abstractmethod
    def check(self, query: Query, body: dict[str, Any]) -> Verdict:
        """What a JSON object that came with HTTP 200 is worth."""
