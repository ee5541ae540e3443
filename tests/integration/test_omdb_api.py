"""OMDb's client against a server on loopback that replays recorded answers and misbehaves on purpose."""

import json
import logging
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from integration.crawl_support import OMDB_KEY, crawled, title
from integration.replay_server import OMDB_ABSENT, Step, serving

from storage.errors import MetadataCredentialsError, MetadataQuotaError
from storage.sources.web.service import MovieIds
from storage.tables import SOURCE_SCHEMA

MISSING = Step(200, OMDB_ABSENT)


def by_imdb(*numbers: int) -> list[MovieIds]:
    return [MovieIds(None, f"tt{number:07}") for number in numbers]


def test_all_recorded_answers_become_rows(real_data: Path, tmp_path: Path) -> None:
    recorded = json.loads(Path(real_data, "omdb-api", "omdb.json").read_text())
    known = {body["imdbID"]: body for body in recorded if body["Response"] == "True"}
    answers = {imdb_id: json.dumps(body).encode() for imdb_id, body in known.items()}
    failing = {f"tt9{number:07}": json.dumps(recorded_failure).encode() for number, recorded_failure in enumerate(
        body for body in recorded if body["Response"] == "False")}  # fmt: skip
    with serving(answers | failing, MISSING) as server:
        ids = [MovieIds(None, imdb_id) for imdb_id in [*known, *failing]]
        table, facts = crawled(server, tmp_path, ids, omdb=True, rate=5000)
    assert table.schema == SOURCE_SCHEMA
    assert (facts["fetched"], facts["failed"], facts["broken"]) == (len(known), len(failing), 0)
    assert facts["failures"] == {"OMDb could not get the data": 28}
    rows = {row["imdb_id"]: row for row in table.to_pylist()}
    for column, source in (
        ("overview", "Plot"), ("runtime_minutes", "Runtime"), ("imdb_votes", "imdbVotes"), ("release_date", "Released"),
        ("imdb_rating", "imdbRating"), ("metascore", "Metascore"), ("awards", "Awards"), ("certification", "Rated"),
        ("directors", "Director"), ("writers", "Writer"), ("metadata_genres", "Genre"), ("countries", "Country"),
    ):  # fmt: skip
        unknown = {imdb_id for imdb_id, body in known.items() if body[source] == "N/A"}
        assert {imdb_id for imdb_id, row in rows.items() if row[column] in (None, [])} == unknown, column
    clyde = rows["tt1117379"]
    assert (clyde["rotten_tomatoes"], clyde["imdb_rating"], clyde["imdb_votes"]) == (12, pytest.approx(4.4), 362)
    assert (clyde["runtime_minutes"], clyde["release_date"].isoformat()) == (91, "2011-03-13")


def test_the_full_plot_is_asked_for_by_id(tmp_path: Path) -> None:
    with serving({"tt0000001": title("tt0000001")}, MISSING) as server:
        crawled(server, tmp_path, by_imdb(1), omdb=True)
    assert server.log[0].target == f"/?i=tt0000001&plot=full&apikey={OMDB_KEY}"


@pytest.mark.parametrize("error", ["Movie not found!", "Incorrect IMDb ID.", "Error: Series or episode not found!"])
def test_unknown_titles_are_remembered_as_absent(tmp_path: Path, error: str) -> None:
    body = json.dumps({"Response": "False", "Error": error}).encode()
    with serving({"tt0000001": title("tt0000001")}, Step(200, body)) as server:
        _, facts = crawled(server, tmp_path, by_imdb(1, 2), omdb=True)
        assert (facts["fetched"], facts["absent"]) == (1, 1)
        _, facts = crawled(server, tmp_path, by_imdb(1, 2), omdb=True)
    assert (facts["cached"], facts["absent"], len(server.log)) == (1, 1, 2)


def test_error_getting_data_is_retried_then_failed_and_never_cached(tmp_path: Path) -> None:
    trouble = Step(200, b'{"Response":"False","Error":"Error getting data."}')
    with serving({"tt0000001": title("tt0000001")}, MISSING) as server:
        server.script("tt0000001", *[trouble] * 5)
        assert crawled(server, tmp_path, by_imdb(1), omdb=True)[1]["failed"] == 1
        assert len(server.log) == 4
        assert crawled(server, tmp_path, by_imdb(1), omdb=True)[1]["fetched"] == 1


@pytest.mark.parametrize("status", [401, 200])
def test_a_used_up_limit_is_not_a_bad_key(tmp_path: Path, status: int) -> None:
    numbers = range(1, 11)
    with serving({f"tt{number:07}": title(f"tt{number:07}") for number in numbers}, MISSING) as server:
        server.script("tt0000007", Step(status, b'{"Response":"False","Error":"Request limit reached!"}'))
        one_by_one = {"concurrency": 1}
        with pytest.raises(MetadataQuotaError, match="6 of 10 movies are answered and cached") as stopped:
            crawled(server, tmp_path, by_imdb(*numbers), omdb=True, limits=one_by_one)
        assert stopped.value.retry_at - datetime.now(UTC) > timedelta(hours=23)
        table, facts = crawled(server, tmp_path, by_imdb(*numbers), omdb=True, offline=True)
        assert (table.num_rows, facts["not_cached"]) == (6, 4)
        _, facts = crawled(server, tmp_path, by_imdb(*numbers), omdb=True, limits=one_by_one)
    assert (facts["cached"], facts["fetched"], len(server.log)) == (6, 4, 11)


@pytest.mark.parametrize("step", [Step(401, b'{"Response":"False","Error":"Invalid API key!"}'), Step(401, b"")])
def test_a_bad_key_stops_at_once_and_is_told_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, step: Step
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")  # someone turns its log on
    with serving({}, step) as server, pytest.raises(MetadataCredentialsError, match="OMDB_API_KEY") as refused:
        crawled(server, tmp_path, by_imdb(*range(1, 100)), omdb=True, limits={"concurrency": 3})
    assert len(server.log) <= 3
    told = "".join(traceback.format_exception(refused.value)) + caplog.text
    assert "HTTP Request: GET" in told
    assert OMDB_KEY not in told
    assert not any(OMDB_KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
