import datetime as dt
import gzip
import json
import zipfile
from pathlib import Path

import pytest
from unit.storage.sources.metadata.exports_support import DETAILS, read_export

from storage.sources.bad_rows import BadRows
from storage.sources.metadata.files import MetadataFile, find_metadata
from storage.tables import SOURCE_SCHEMA


@pytest.mark.parametrize("name", ["dump.jsonl", "dump.ndjson", "dump.json.gz", "dump.jsonl.gz", "dump.zip"])
def test_json_lines_of_details(tmp_path: Path, name: str) -> None:
    lines = [
        json.dumps(DETAILS),
        "",
        '{"status_code":34,"status_message":"Not found."}',
        "[1]",
        '{"id": 5, "gen',
        "[" * 9999,
    ]
    data = "\n".join(lines).encode()
    path = tmp_path / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("dump.jsonl", data)
    else:
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert [file.path for file in find_metadata((MetadataFile(path=tmp_path),))] == [path]
    bad = BadRows("quarantine")
    table, facts = read_export(path, bad)
    assert table.schema == SOURCE_SCHEMA
    (movie,) = table.to_pylist()
    assert movie["certification"] == "PG-13"
    assert (movie["cast"], movie["directors"], movie["writers"]) == (["A0", "A1", "A2", "A3", "A4"], ["D"], ["W"])
    assert (movie["languages"], movie["keywords"], movie["collection"]) == (["Spanish"], ["alien"], "Men Collection")
    assert (movie["revenue_usd"], movie["budget_usd"], movie["release_date"]) == (None, 90_000_000, dt.date(1997, 7, 2))
    assert [row.line for row in bad.rows] == [3, 4, 5, 6]
    assert "Not found." in bad.rows[0].reason
    assert facts["dropped_broken"] == 4


def test_real_details_as_json_lines(real_data: Path, tmp_path: Path) -> None:
    names = (
        "movie_details_607",
        "movie_details_10140",
        "movie",
        "movie-blank-homepage-release-date",
        "error-status-response",
    )
    bodies = [json.loads(Path(real_data, "tmdb-api", f"{name}.json").read_text()) for name in names]
    (tmp_path / "d.jsonl").write_text("\n".join(json.dumps(body) for body in bodies))
    bad = BadRows("quarantine")
    table, _ = read_export(tmp_path / "d.jsonl", bad)
    assert [row.line for row in bad.rows] == [5]
    men = table.to_pylist()[0]
    assert (men["tmdb_id"], men["imdb_id"], men["certification"]) == (607, "tt0119654", "PG-13")
    assert men["directors"] == ["Barry Sonnenfeld"]
    assert men["cast"][:2] == ["Tommy Lee Jones", "Will Smith"]
