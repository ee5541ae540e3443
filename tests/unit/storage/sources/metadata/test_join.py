import datetime as dt
import json
import os
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
from storage.sources.metadata.fields import converter, source_table
from storage.sources.metadata.join import join_metadata
from storage.sources.metadata.mapped import MetadataFile, find_metadata, read_metadata
from storage.sources.movielens.movies import read_movies
from storage.sources.movielens.releases import find_release
from storage.tables import IDENTITY_SCHEMA, METADATA_SCHEMA, MOVIES_SCHEMA, SOURCE_SCHEMA


def movies(*rows: tuple[int, int | None, str | None]) -> pa.Table:
    return pa.Table.from_pylist(
        [{"movie_id": m, "tmdb_id": t, "imdb_id": i, "title": f"M{m}", "year": None, "genres": []} for m, t, i in rows],
        schema=IDENTITY_SCHEMA,
    )


def test_join_by_tmdb_then_imdb_with_precedence_by_field() -> None:
    first = source_table([{"tmdb_id": 10, "imdb_id": "tt1", "tagline": "Short", "runtime_minutes": 90, "cast": ["A"]}])
    second = source_table(
        [
            {
                "tmdb_id": 10,
                "imdb_id": "tt9",
                "tagline": "Other",
                "overview": "Long",
                "runtime_minutes": 80,
                "cast": ["B"],
            },
            {"tmdb_id": 20, "imdb_id": "tt2", "overview": "By imdb", "adult": False},
        ]
    )
    third = source_table([{"imdb_id": "tt1", "imdb_rating": 8.0}, {"imdb_id": None, "overview": "Nobody's"}])
    joined, facts = join_metadata(
        movies((1, 10, "tt1"), (2, None, "tt2"), (3, 30, None), (4, None, None)),
        [("a", first), ("b", second), ("c", third)],
    )
    assert joined.schema == MOVIES_SCHEMA
    one, two, three, four = joined.to_pylist()
    assert (one["tagline"], one["overview"], one["runtime_minutes"], one["cast"]) == ("Short", "Long", 90, ["A"])
    assert (one["imdb_rating"], one["metadata_source"]) == (8.0, "a+b+c")
    assert (two["overview"], two["adult"], two["metadata_source"]) == ("By imdb", False, "b")
    assert (three["has_metadata"], three["overview"], three["keywords"]) == (False, None, [])
    assert (four["has_metadata"], four["metadata_source"]) == (False, None)
    assert facts["joined_by_tmdb_id_against_imdb_id"] == 1
    assert facts["covered"] == 2
    assert facts["covered_by"] == {"a": 1, "b": 2, "c": 1}
    assert {name: count for name, count in facts["coverage"].items() if count} == {
        "tagline": 1, "overview": 2, "runtime_minutes": 1, "cast": 1, "imdb_rating": 1, "adult": 1,
    }  # fmt: skip


def test_without_sources_everything_is_unknown() -> None:
    joined, facts = join_metadata(movies((1, 10, "tt1")), [])
    assert (joined.schema, facts["covered"]) == (MOVIES_SCHEMA, 0)
    assert joined.to_pylist()[0]["genres"] == []
    assert join_metadata(movies(), [("a", source_table([{"tmdb_id": 1}]))])[0].num_rows == 0


ids = st.one_of(st.none(), st.integers(1, 6))
source_rows = st.lists(
    st.fixed_dictionaries(
        {
            "tmdb_id": ids, "imdb_id": ids.map(lambda n: n and f"tt{n}"), "overview": st.sampled_from((None, "x", "y")),
            "keywords": st.sampled_from(([], ["k"], ["l", "m"])), "budget_usd": st.sampled_from((None, 1.0, 2.0)),
        }
    ),
    max_size=6,
    unique_by=(lambda row: row["tmdb_id"] or object(), lambda row: row["imdb_id"] or object()),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 99), ids, ids.map(lambda n: n and f"tt{n}")), max_size=6),
    st.lists(source_rows, max_size=3),
)
def test_join_is_the_plain_one(rows: list[Any], sources: list[list[dict[str, Any]]]) -> None:
    joined, _ = join_metadata(movies(*rows), [(str(place), source_table(of)) for place, of in enumerate(sources)])
    for (_, tmdb, imdb), found in zip(rows, joined.to_pylist(), strict=True):
        matches = []
        for source in sources:
            by_tmdb = [row for row in source if tmdb and row["tmdb_id"] == tmdb]
            by_imdb = [row for row in source if imdb and row["imdb_id"] == imdb]
            matches += (by_tmdb or by_imdb)[:1]
        for name in ("overview", "keywords", "budget_usd"):
            nothing: Any = [] if name == "keywords" else None
            assert found[name] == next((row[name] for row in matches if row[name]), nothing)
        assert found["has_metadata"] == bool(matches)


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
    table, facts = read_metadata(mapped(path, csv={"delimiter": "\t"}), bad)
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
    with pytest.raises(ValidationError, match="encoding in which ASCII"):
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
        table, _ = read_metadata(mapped(path))
        table.validate(full=True)
    except MetadataError as error:
        assert "expected" in str(error)


anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just(10**400), st.just("\ud800"),
        st.sampled_from(["1999-12-31", "tt1", "5", "yes", "{}"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["name", "results", "cast", "job"]), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SOURCE_SCHEMA.names), anything)
def test_cells_of_any_kind_become_values_or_reasons(name: str, cell: Any) -> None:
    try:
        value = converter(name, "|")(cell)
    except ValueError:
        return
    source_table([{name: value}]).validate(full=True)


@pytest.mark.real_data
def test_real_sources_join_a_real_release() -> None:
    root = os.environ.get("MARQUEE_REAL_DATA")
    if not root:
        pytest.skip("MARQUEE_REAL_DATA names no folder")
    files = find_metadata((MetadataFile(path=Path(root, "tmdb-movies")), MetadataFile(path=Path(root, "tmdb-5000"))))
    release = read_movies(find_release(Path(root, "ml-latest-small")), BadRows())[0]
    joined, facts = join_metadata(release, [(file.path.name, read_metadata(file)[0]) for file in files])
    assert facts["joined_by_tmdb_id_against_imdb_id"] == 5
    assert 0.6 < facts["covered"] / joined.num_rows < 0.75
    assert facts["coverage"].keys() == set(METADATA_SCHEMA.names)
    assert facts["coverage"]["release_date"] > 6000
