import csv
import json
from pathlib import Path
from typing import Any

import pytest
from unit.storage.sources.metadata.exports_support import read_export

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows
from storage.sources.metadata.dialects import DIALECTS, find_dialect
from storage.sources.metadata.files import MetadataFile, find_metadata, read_metadata


@pytest.mark.parametrize("dialect", ["movie_id,title,cast,crew", "cast,crew,id"])
def test_credits_beside_the_exports(tmp_path: Path, dialect: str) -> None:
    cast: list[dict[str, Any]] = [{"cast_id": 1, "character": "{'name': 'No'}", "name": f'A "{n}"'} for n in range(7)]
    crew = [
        {"department": "Directing", "job": "Director", "name": "D", "profile_path": None},
        {"department": "Writing", "job": "Screenplay", "name": "W'"},
        {"department": "Writing", "job": "Story", "name": "W'"},
    ]
    write = json.dumps if dialect.startswith("movie_id") else repr
    with (tmp_path / "credits.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, dialect.split(","), extrasaction="ignore")
        writer.writeheader()
        writer.writerow({"movie_id": 5, "id": 5, "title": "T", "cast": write(cast), "crew": write(crew)})
    (movie,) = read_export(tmp_path / "credits.csv", BadRows("reject"))[0].to_pylist()
    assert movie["cast"] == [f'A "{n}"' for n in range(5)]
    assert (movie["tmdb_id"], movie["directors"], movie["writers"]) == (5, ["D"], ["W'"])


def test_real_exports_have_no_broken_row(real_data: Path) -> None:
    read = [
        read_metadata(file, BadRows("reject"))
        for file in find_metadata(
            tuple(MetadataFile(path=Path(real_data, name)) for name in ("tmdb-movies", "tmdb-5000"))
        )
    ]
    assert [(facts["rows"], facts["dropped_repeated"]) for _, facts, _ in read] == [(10_866, 1), (4_803, 0)]
    udacity, kaggle = (table for table, _, _ in read)
    dates = [day for day in udacity["release_date"].to_pylist() if day]
    assert len(dates) == udacity.num_rows
    assert sum(day.year < 1969 for day in dates) == 331  # two-digit years put these into the future
    assert max(dates).year == 2015
    assert "No overview found." not in udacity["overview"].to_pylist()
    assert kaggle["status"].null_count == 0


def test_every_dialect_is_found_by_its_own_columns() -> None:
    for dialect in DIALECTS:
        assert find_dialect(Path("x"), tuple(dialect.columns)) is dialect
    with pytest.raises(MetadataError, match=r"known export \(tmdb-movies.csv, .*; found 'a,b'"):
        find_dialect(Path("x"), ("a", "b"))
