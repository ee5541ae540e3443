"""Readers of strangers' JSON, the response cache and the rate limiter, without a network."""

import asyncio
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from tests_support import REPOSITORY

from storage.errors import MetadataCredentialsError
from storage.sources.metadata.tmdb_details import parse_details
from storage.sources.web.crawl import MovieIds
from storage.sources.web.fetch import Query, json_object, retry_after
from storage.sources.web.omdb_api import OmdbApi, parse_title
from storage.sources.web.rate_limit import RateLimiter
from storage.sources.web.response_cache import Response, ResponseCache
from storage.sources.web.tmdb_api import TmdbApi, tmdb_credential
from storage.tables import SOURCE_SCHEMA

UNHURRIED = settings(deadline=None)  # other work on the machine is no failure
IDS = MovieIds(1, "tt0000001")
KNOWN_NAMES = """
    id imdb_id adult budget revenue runtime popularity vote_average vote_count genres name results cast crew order job
    department credits keywords release_dates certification iso_3166_1 belongs_to_collection spoken_languages
    english_name production_countries release_date overview status_code movie_results success
    imdbID Response Error Plot Rated Released Runtime Genre Actors Writer Ratings Source Value Metascore imdbRating
    imdbVotes BoxOffice Type Awards Production
"""
NAMES = st.sampled_from(KNOWN_NAMES.split())
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.integers(10**300, 10**310)
    | st.sampled_from(["N/A", "\ud800", "1 h 30 min", "31 Feb 2001", "$1,234", "Rotten Tomatoes", "7%", "1999-13-01",
                       "١٢ min", "Director", "Writing", "US", "tt1", "True", "False", "a(b", ",,,"])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=8), max_leaves=6
)
OBJECTS = st.fixed_dictionaries({}, optional=dict.fromkeys(KNOWN_NAMES.split(), VALUES))


@given(OBJECTS)
@settings(UNHURRIED, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_service_says_becomes_a_row(body: dict[str, Any]) -> None:
    rows = [parse_details(body), parse_title(body, IDS)]
    table = pa.Table.from_pylist(rows, schema=SOURCE_SCHEMA)
    assert table.to_pylist()[1]["imdb_id"] == "tt0000001"
    table.validate(full=True)
    for column in ("budget_usd", "runtime_minutes", "popularity", "imdb_votes"):
        assert all(value is None or 0 < value < 1.01e12 for value in table[column].to_pylist())


@given(OBJECTS | st.none(), st.integers(200, 599).filter(lambda status: status not in (401, 403)))
@settings(UNHURRIED, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_service_says_is_judged(body: dict[str, Any] | None, status: int) -> None:
    for api, query in ((TmdbApi(), TmdbApi().details(1)), (TmdbApi(), Query("find/tt1", ())),
                       (OmdbApi(), Query("", (("i", "tt0000001"),)))):  # fmt: skip
        assert api.is_absent(status, body) in (True, False)
        assert body is None or api.check(query, body).kind in ("answer", "absent", "again", "broken")


@given(st.binary(max_size=200) | st.text().map(str.encode) | OBJECTS.map(lambda body: json.dumps(body).encode()))
@UNHURRIED
def test_any_bytes_are_an_object_or_none(body: bytes) -> None:
    assert isinstance(json_object(body), dict | None)


def test_half_characters_and_huge_numbers_do_not_break_the_table() -> None:
    body = json.loads(
        b'{"id": 1, "overview": "a\\ud800b", "budget": 1e999, "runtime": NaN, "revenue": ' + b"9" * 400 + b"}"
    )
    row = pa.Table.from_pylist([parse_details(body)], schema=SOURCE_SCHEMA).to_pylist()[0]
    assert (row["overview"], row["budget_usd"], row["runtime_minutes"], row["revenue_usd"]) == ("a b", None, None, None)


def test_deep_nesting_is_no_object() -> None:
    assert json_object(b'{"a":' * 200_000) is None
    assert json_object(b'{"a":' + b"9" * 5000 + b"}") is None


def test_tmdb_fields() -> None:
    body = {
        "id": 1, "imdb_id": "", "external_ids": {"imdb_id": "tt0000001"},
        "budget": 999, "revenue": 0, "runtime": "90", "adult": "no", "release_date": "2001-02-30",
        "overview": " two\n words\x00 ", "tagline": "", "vote_average": 11, "vote_count": 3, "production_companies": None,
        "spoken_languages": [{"name": "Deutsch", "english_name": "German"}, {"name": "Español"}, 3, {}],
        "credits": {"cast": [{"name": str(place), "order": 9 - place} for place in range(8)] + [{"name": "?"}],
                    "crew": [{"name": "A", "job": "Director"}, {"name": "A", "job": "Writer", "department": "Writing"},
                             {"name": "A", "job": "Story", "department": "Writing"}, {"job": "Director"}]},
        "release_dates": {"results": [
            {"iso_3166_1": "DE", "release_dates": [{"certification": ""}, {"certification": "16"}]},
            {"iso_3166_1": "US", "release_dates": [{"certification": " "}]},
        ]},
    }  # fmt: skip
    row = parse_details(body)
    assert row["imdb_id"] == "tt0000001"
    unknown = ("budget_usd", "revenue_usd", "runtime_minutes", "adult", "release_date", "tagline", "vote_average")
    assert [row[name] for name in unknown] == [None] * 7
    assert (row["overview"], row["vote_count"], row["companies"]) == ("two words", 3, [])
    assert row["languages"] == ["German", "Español"]
    assert row["cast"] == ["7", "6", "5", "4", "3"]
    assert (row["directors"], row["writers"], row["certification"]) == (["A"], ["A"], "16")


def test_omdb_fields() -> None:
    body = {
        "Rated": "UNRATED", "Released": "03 May 1999", "Runtime": "1 h 44 min", "Genre": "Drama, Crime", "Language": "None",
        "Director": "A, B (co-director)", "Writer": "C (novel), D (screenplay), C (story)", "Actors": "E, F, G, H, I, J",
        "Plot": "N/A", "Country": "N/A", "Awards": "1 win.", "Metascore": "61", "imdbRating": "7.8", "imdbVotes": "1,234",
        "BoxOffice": "$12,345,678", "Production": "P", "Type": "series",
        "Ratings": [{"Source": "Internet Movie Database", "Value": "7.8/10"}, {"Source": "Rotten Tomatoes", "Value": "87%"}],
    }  # fmt: skip
    row = parse_title(body, IDS)
    assert (row["certification"], row["release_date"], row["runtime_minutes"]) == ("Not Rated", date(1999, 5, 3), 104)
    assert (row["directors"], row["writers"], row["cast"]) == (["A", "B"], ["C", "D"], ["E", "F", "G", "H", "I"])
    assert (row["overview"], row["countries"], row["languages"], row["awards"]) == (None, [], [], "1 win.")
    assert (row["metascore"], row["imdb_rating"], row["imdb_votes"], row["rotten_tomatoes"]) == (61, 7.8, 1234, 87)
    assert (row["revenue_usd"], row["companies"], row["title_type"]) == (12_345_678, ["P"], "tvSeries")
    assert parse_title({"Runtime": "1,440 min"}, IDS)["runtime_minutes"] == 1440


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7), ({"Retry-After": "0"}, 0), ({}, None), ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None), ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:10 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 10),
        ({"Retry-After": "Wednesday, 21-Oct-15 07:28:10 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 10),
        ({"Retry-After": "Wed Oct 21 07:28:10 2015", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 10),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)  # fmt: skip
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(httpx.Headers(headers)) == seconds


@given(st.text(alphabet=st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=40))
@UNHURRIED
def test_any_retry_after_is_understood_or_not(value: str) -> None:
    wait = retry_after(httpx.Headers([(b"Retry-After", value.encode("latin-1"))]))
    assert wait is None or wait >= 0


@pytest.mark.parametrize("token", ["", "  ", "two words", "a\nb", "schlüssel"])
def test_what_is_no_token_is_refused_unseen(token: str) -> None:
    with pytest.raises(MetadataCredentialsError, match="TMDB_API_TOKEN") as refused:
        tmdb_credential(SecretStr(token))
    assert not token.strip() or token not in str(refused.value)


def test_a_v3_key_goes_where_tmdb_takes_it() -> None:
    assert tmdb_credential(SecretStr("aB" * 16 + "\n")).query_parameter == "api_key"
    assert tmdb_credential(SecretStr("eyJ.a.b")).query_parameter is None


def response(body: bytes = b"{}", days: float = 1) -> Response:
    now = datetime.now(UTC)
    return Response(False, body, now, now + timedelta(days=days))


@given(body=st.binary(max_size=300), key=st.text(max_size=60), absent=st.booleans())
@settings(UNHURRIED, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_the_cache_gives_back_what_it_got(tmp_path: Path, body: bytes, key: str, absent: bool) -> None:
    cache = ResponseCache(Path(tempfile.mkdtemp(dir=tmp_path)))  # no other example's keys
    kept = response(body)._replace(absent=absent)
    cache.put(key, kept)
    assert cache.get(key, datetime.now(UTC)) == kept
    assert cache.get(key + "?", datetime.now(UTC)) is None


@given(data=st.data())
@settings(UNHURRIED, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_no_damage_to_a_cached_file_gets_through(tmp_path: Path, data: st.DataObject) -> None:
    cache, body = ResponseCache(tmp_path), b'{"overview": "A text."}'
    kept = response(body)
    cache.put("key", kept)
    path = cache.path("key")
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["cut", "flip", "insert", "replace"]))
    byte = data.draw(st.integers(1, 255))
    path.write_bytes({
        "cut": whole[:place], "flip": whole[:place] + bytes([whole[place] ^ byte]) + whole[place + 1 :],
        "insert": whole[:place] + bytes([byte]) + whole[place:], "replace": bytes([byte]) * place,
    }[kind])  # fmt: skip
    found = cache.get("key", datetime.now(UTC))
    assert found in (None, kept)
    cache.purge()


def test_expired_answers_are_removed_and_future_needs_respected(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path)
    cache.put("old", response(days=-1))
    cache.put("new", response(days=3))
    before = cache.state()
    assert cache.get("old", datetime.now(UTC)) is None
    assert not cache.path("old").exists()
    assert cache.get("new", datetime.now(UTC) + timedelta(days=4)) is None
    assert cache.get("new", datetime.now(UTC) + timedelta(days=2)) is not None
    assert cache.state() != before


def test_purge_sweeps_what_killed_writers_left(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path)
    cache.put("key", response())
    draft = cache.path("key").with_name(".x.tmp")
    draft.write_bytes(b"half")
    assert cache.purge() == 0
    assert draft.exists()
    os.utime(draft, (0, 0))
    cache.purge()
    assert not draft.exists()


def test_slots_are_spaced_and_pauses_hold(tmp_path: Path) -> None:
    async def turns(count: int) -> list[float]:
        limiters = [RateLimiter(tmp_path / "rate", 50) for _ in range(3)]  # as three processes would have

        async def turn(place: int) -> float:
            await limiters[place % 3].turn()
            return time.time()

        return sorted(await asyncio.gather(*(turn(place) for place in range(count))))

    began = time.time()  # the first may come late, and then less is between it and the last
    assert asyncio.run(turns(20))[-1] - began >= 19 / 50
    RateLimiter(tmp_path / "rate", 50).pause(0.5)
    began = time.time()
    assert asyncio.run(turns(3))[0] - began > 0.45


def test_a_pause_voids_slots_that_were_taken_before(tmp_path: Path) -> None:
    async def waiting_when_it_comes() -> float:
        limiter, other = (RateLimiter(tmp_path / "rate", 2) for _ in range(2))
        await limiter.turn()
        second = asyncio.create_task(limiter.turn())  # due in half a second
        await asyncio.sleep(0.1)
        began = time.time()
        other.pause(1.0)
        await second
        return time.time() - began

    assert asyncio.run(waiting_when_it_comes()) > 0.95


def test_no_slot_is_given_to_two_processes(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from storage.sources.web.rate_limit import RateLimiter\n"
        "limiter = RateLimiter(Path(sys.argv[1]), 100)\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for _ in range(1500): print(repr(limiter.reserve()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "rate")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, cwd=REPOSITORY, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    slots = sorted(float(line) for output in outputs for line in output.split())
    assert len(slots) == 4500
    assert min(after - before for before, after in pairwise(slots)) > 0.0099


@pytest.mark.parametrize("data", [b"", b"torn", b"\xff" * 16, struct.pack("<dd", 1e300, float("nan")), b"x" * 99])
def test_a_damaged_clock_starts_anew(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "rate").write_bytes(data)
    began = time.monotonic()
    asyncio.run(RateLimiter(tmp_path / "rate", 100).turn())
    assert time.monotonic() - began < 0.5


def test_the_clock_may_have_been_set_back(tmp_path: Path) -> None:
    (tmp_path / "rate").write_bytes(struct.pack("<dd", time.time() + 90_000, time.time() + 90_000))
    began = time.monotonic()
    asyncio.run(RateLimiter(tmp_path / "rate", 100).turn())
    assert time.monotonic() - began < 0.5
