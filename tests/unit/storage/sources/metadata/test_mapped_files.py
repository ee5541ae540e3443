import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows
from storage.sources.metadata.files import MetadataFile, find_metadata, read_metadata
from storage.tables import SOURCE_SCHEMA

MAPPING = {
    "imdb_id": "tconst",
    "overview": "plot",
    "cast": "stars",
    "release_date": "day",
    "metascore": "score",
    "adult": "x",
}
GOOD = {"tconst": "0114709", "plot": "Text", "stars": "A; B", "day": "1995-10-30", "score": "0", "x": "no"}


def mapped(path: Path, **changes: Any) -> MetadataFile:
    return MetadataFile.model_validate({"path": path, "columns": MAPPING, "list_separator": ";"} | changes)


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.parquet"])
def test_mapped_columns_of_any_format(tmp_path: Path, name: str) -> None:
    rows = [GOOD, GOOD | {"tconst": "tt0000002", "score": "many"}, GOOD | {"tconst": ""}, GOOD | {"plot": "Again"}]
    path = tmp_path / name
    if name.endswith(".csv"):
        path.write_text("\t".join(GOOD) + "\n" + "".join("\t".join(row.values()) + "\n" for row in rows))
    elif name.endswith(".jsonl"):
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    bad = BadRows("quarantine")
    table, facts, _ = read_metadata(mapped(path, csv={"delimiter": "\t"}), bad)
    assert table.schema == SOURCE_SCHEMA
    (movie,) = table.to_pylist()
    assert (movie["imdb_id"], movie["overview"], movie["cast"]) == ("tt0114709", "Text", ["A", "B"])
    assert (movie["release_date"], movie["metascore"], movie["adult"]) == (dt.date(1995, 10, 30), 0, False)
    first = 3 if name.endswith(".csv") else 2
    assert [(row.line, row.reason) for row in bad.rows] == [
        (first, "score: expected a number; found 'many'"),
        (first + 1, "expected a TMDB or IMDb id; found neither"),
    ]
    assert facts["dropped_repeated"] == 1


def test_lists_and_dates_of_typed_columns(tmp_path: Path) -> None:
    rows = [{"i": 862, "people": ["A", "B"], "day": dt.date(1995, 10, 30), "votes": 5}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    columns = {"tmdb_id": "i", "directors": "people", "release_date": "day", "vote_count": "votes"}
    movie = read_metadata(MetadataFile(path=tmp_path / "m.parquet", columns=columns))[0].to_pylist()[0]
    assert (movie["tmdb_id"], movie["directors"], movie["vote_count"]) == (862, ["A", "B"], 5)
    assert movie["release_date"] == dt.date(1995, 10, 30)


def test_wrong_mappings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"expected columns among tmdb_id, .* found plot"):
        mapped(tmp_path, columns={"plot": "overview", "tmdb_id": "id"})
    with pytest.raises(ValidationError, match="to join by; found neither"):
        mapped(tmp_path, columns={"overview": "plot"})
    with pytest.raises(ValidationError, match="ASCII characters"):
        mapped(tmp_path, csv={"delimiter": '"'})
    with pytest.raises(ValidationError, match="encoding that extends ASCII"):
        mapped(tmp_path, csv={"encoding": "utf-16"})
    (tmp_path / "m.csv").write_text("tconst,plot\ntt1,a\n")
    with pytest.raises(MetadataError, match=r"expected columns day, score, stars, x; found tconst, plot"):
        read_metadata(mapped(tmp_path / "m.csv"))
    with pytest.raises(MetadataError, match=r"line 2: score: expected a number; found 'q'"):
        (tmp_path / "m.csv").write_text("tconst,plot,stars,day,score,x\ntt1,a,,,q,\n")
        read_metadata(mapped(tmp_path / "m.csv"), BadRows("reject"))


def test_paths_alone_name_known_exports_and_folders_of_them(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("id,imdb_id,overview,release_year\n1,tt1,Text,1999\n")
    files = find_metadata((MetadataFile.model_validate(str(tmp_path)), mapped(tmp_path / "e.csv")))
    assert [(file.path.name, bool(file.columns)) for file in files] == [("e.csv", False), ("e.csv", True)]
    assert read_metadata(files[0])[0]["overview"].to_pylist() == ["Text"]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(("m.csv", "m.jsonl", "m.parquet")),
    noise=st.binary(max_size=20),
    place=st.integers(0, 2000),
    drop=st.integers(0, 20),
)
def test_random_damage_gives_only_typed_errors(tmp_path: Path, kind: str, noise: bytes, place: int, drop: int) -> None:
    path = tmp_path / kind
    if kind == "m.csv":
        data = (",".join(GOOD) + "\n" + ",".join(GOOD.values()) + "\n").encode()
    elif kind == "m.jsonl":
        data = json.dumps(GOOD).encode()
    else:
        pq.write_table(pa.Table.from_pylist([GOOD]), path)
        data = path.read_bytes()
    at = min(place, len(data))
    path.write_bytes(data[:at] + noise + data[at + drop :])
    try:
        table = read_metadata(mapped(path)).table
        table.validate(full=True)
    except MetadataError as error:
        assert "expected" in str(error)
