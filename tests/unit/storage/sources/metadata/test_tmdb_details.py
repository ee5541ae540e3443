import json
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from unit.storage.sources.json_support import OBJECTS

from storage.sources.metadata.tmdb_details import parse_details
from storage.tables import SOURCE_SCHEMA


@given(OBJECTS)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_object_becomes_a_row(body: dict[str, Any]) -> None:
    table = pa.Table.from_pylist([parse_details(body)], schema=SOURCE_SCHEMA)
    table.validate(full=True)
    for column in ("budget_usd", "runtime_minutes", "popularity"):
        assert all(value is None or 0 < value < 1.01e12 for value in table[column].to_pylist())


def test_half_characters_and_huge_numbers_do_not_break_the_table() -> None:
    body = json.loads(
        b'{"id": 1, "overview": "a\\ud800b", "budget": 1e999, "runtime": NaN, "revenue": ' + b"9" * 400 + b"}"
    )
    row = pa.Table.from_pylist([parse_details(body)], schema=SOURCE_SCHEMA).to_pylist()[0]
    assert (row["overview"], row["budget_usd"], row["runtime_minutes"], row["revenue_usd"]) == ("a b", None, None, None)


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
