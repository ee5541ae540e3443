"""OMDb's API: one title by its IMDb id."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from storage.errors import MetadataCredentialsError
from storage.sources.metadata.fields import CAST_SIZE, Movie
from storage.sources.metadata.json_fields import LEAST_DOLLARS, entries, imdb_id, names, number, text
from storage.sources.web.service import Ask, MovieIds, Query, StopAskingError, Verdict, WebService

TITLE_TYPES = {"movie": "movie", "series": "tvSeries", "episode": "tvEpisode", "game": "videoGame"}  # IMDb's names
UNRATED = {"not rated", "unrated", "nr"}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
T = TypeVar("T")
REMARK = re.compile(r"\([^()]*\)")  # John Doe (screenplay)


class OmdbApi(WebService):
    """OMDb; the key is in OMDB_API_KEY or in the Secret block omdb-api-key."""

    name: ClassVar[str] = "omdb"
    licence: ClassVar[str] = "OMDb content: CC BY-NC 4.0."
    key_variable: ClassVar[str] = "OMDB_API_KEY"

    base_url: str = Field("https://www.omdbapi.com", description="Address of OMDb.")
    requests_per_second: float = Field(10, gt=0, le=1000, description="A free key has 1,000 requests a day in all.")
    concurrency: int = Field(4, ge=1, le=64, description="Titles asked at a time, per process.")

    def key_parameter(self, key: str) -> str | None:
        """OMDb accepts its key only in the query."""
        return "apikey"

    async def movie(self, ids: MovieIds, ask: Ask) -> Movie | None:
        """A title's row of SOURCE_SCHEMA; None if it has no IMDb id or OMDb does not know it."""
        body = await ask(Query("", (("i", ids.imdb_id), ("plot", "full")))) if ids.imdb_id else None
        return None if body is None else parse_omdb(body, ids)

    def is_absent(self, status: int, body: dict[str, Any] | None) -> bool:
        """Whether OMDb says that there is no such title.

        Raises:
            MetadataCredentialsError: OMDb rejects the key.
            StopAskingError: the key's requests for today are used up.
        """
        error = (body or {}).get("Error")
        error = error.lower() if isinstance(error, str) else ""
        if "limit reached" in error:
            # OMDb counts requests by the day and does not say when its day ends.
            raise StopAskingError("the key's daily limit is reached", datetime.now(UTC) + timedelta(days=1))
        if status in (401, 403) or "api key" in error:
            raise MetadataCredentialsError(
                f"{self.name}: expected the key in {self.key_variable} to be accepted; found HTTP {status}. "
                "Get one at https://www.omdbapi.com/apikey.aspx and activate it with the mail that OMDb sends."
            )
        return "not found" in error or "incorrect imdb id" in error

    def check(self, query: Query, body: dict[str, Any]) -> Verdict:
        """Whether OMDb answered the query: for the title that was asked for."""
        if body.get("Response") == "False":
            return Verdict("again", "OMDb could not get the data")
        found, asked = imdb_id(body.get("imdbID")), dict(query.params)["i"]
        if body.get("Response") != "True" or found is None or int(found[2:]) != int(asked[2:]):
            return Verdict("broken", "expected the title asked for; found another or none")
        return Verdict("answer")


def parse_omdb(body: dict[str, Any], ids: MovieIds) -> Movie:
    """A row of SOURCE_SCHEMA from one OMDb title; fields of unexpected types or values are unknown."""
    rated, kind = text(body.get("Rated")), text(body.get("Type"))
    return {
        "imdb_id": ids.imdb_id,
        "overview": text(body.get("Plot")),
        "certification": "Not Rated" if (rated or "").lower() in UNRATED else rated,
        "title_type": TITLE_TYPES.get(kind or "", kind),
        "awards": text(body.get("Awards")),
        "release_date": _day(body.get("Released")),
        "metadata_genres": _listed(body.get("Genre")),
        "countries": _listed(body.get("Country")),
        "languages": _listed(body.get("Language")),
        "companies": _listed(body.get("Production")),
        "cast": _listed(body.get("Actors"))[:CAST_SIZE],
        "directors": _listed(body.get("Director")),
        "writers": _listed(body.get("Writer")),
        "runtime_minutes": _minutes(body.get("Runtime")),
        "revenue_usd": number(_amount(body.get("BoxOffice")), least=LEAST_DOLLARS),  # in North America only
        "imdb_rating": number(_amount(body.get("imdbRating")), most=10),
        "imdb_votes": number(_amount(body.get("imdbVotes"))),
        "metascore": number(_amount(body.get("Metascore")), most=100),
        "rotten_tomatoes": _rotten_tomatoes(body),
    }


def _listed(value: object) -> list[str]:
    """The names of a comma-separated list, without remarks in parentheses."""
    return names(REMARK.sub("", text(value) or "").split(","))


def _amount(value: object) -> float | None:
    """`1,234`, `$1,234`, `7.8`."""
    return _matched(r"\$?([\d,]{1,20}(?:\.\d{1,6})?)", value, lambda found: float(found[1].replace(",", "")))


def _minutes(value: object) -> float | None:
    """`104 min`, `1 h`, `1 h 44 min`."""

    def minutes(found: re.Match[str]) -> float:
        return 60 * int(found[1] or 0) + int((found[2] or "0").replace(",", ""))

    return number(_matched(r"(?:(\d{1,3}) h)? ?(?:([\d,]{1,6}) min)?", value, minutes))


def _day(value: object) -> date | None:
    """`24 Jan 2007`, in English whatever the locale."""
    return _matched(
        r"(\d\d?) (\w{3}) (\d{4})", value, lambda found: date(int(found[3]), 1 + MONTHS.index(found[2]), int(found[1]))
    )


def _rotten_tomatoes(body: dict[str, Any]) -> float | None:
    for rating in entries(body.get("Ratings")):
        if rating.get("Source") == "Rotten Tomatoes":
            return number(_matched(r"(\d{1,3})%", rating.get("Value"), lambda found: float(found[1])), most=100)
    return None


def _matched(pattern: str, value: object, read: Callable[[re.Match[str]], T]) -> T | None:
    found = re.fullmatch(pattern, text(value) or "", re.ASCII)
    try:
        return read(found) if found else None
    except ValueError:
        return None
