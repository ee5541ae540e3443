from datetime import date
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from unit.storage.sources.json_support import OBJECTS

from storage.sources.web.omdb_api import parse_omdb
from storage.sources.web.service import MovieIds
from storage.tables import SOURCE_SCHEMA

IDS = MovieIds(1, "tt0000001")


@given(OBJECTS)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_object_becomes_a_row_of_the_movie_asked_for(body: dict[str, Any]) -> None:
    table = pa.Table.from_pylist([parse_omdb(body, IDS)], schema=SOURCE_SCHEMA)
    table.validate(full=True)
    assert table["imdb_id"].to_pylist() == ["tt0000001"]
    for column in ("revenue_usd", "runtime_minutes", "imdb_votes"):
        assert all(value is None or 0 < value < 1.01e12 for value in table[column].to_pylist())


def test_omdb_fields() -> None:
    body = {
        "Rated": "UNRATED", "Released": "03 May 1999", "Runtime": "1 h 44 min", "Genre": "Drama, Crime", "Language": "None",
        "Director": "A, B (co-director)", "Writer": "C (novel), D (screenplay), C (story)", "Actors": "E, F, G, H, I, J",
        "Plot": "N/A", "Country": "N/A", "Awards": "1 win.", "Metascore": "61", "imdbRating": "7.8", "imdbVotes": "1,234",
        "BoxOffice": "$12,345,678", "Production": "P", "Type": "series",
        "Ratings": [{"Source": "Internet Movie Database", "Value": "7.8/10"}, {"Source": "Rotten Tomatoes", "Value": "87%"}],
    }  # fmt: skip
    row = parse_omdb(body, IDS)
    assert (row["certification"], row["release_date"], row["runtime_minutes"]) == ("Not Rated", date(1999, 5, 3), 104)
    assert (row["directors"], row["writers"], row["cast"]) == (["A", "B"], ["C", "D"], ["E", "F", "G", "H", "I"])
    assert (row["overview"], row["countries"], row["languages"], row["awards"]) == (None, [], [], "1 win.")
    assert (row["metascore"], row["imdb_rating"], row["imdb_votes"], row["rotten_tomatoes"]) == (61, 7.8, 1234, 87)
    assert (row["revenue_usd"], row["companies"], row["title_type"]) == (12_345_678, ["P"], "tvSeries")
    assert parse_omdb({"Runtime": "1,440 min"}, IDS)["runtime_minutes"] == 1440
