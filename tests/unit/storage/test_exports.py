import io
import json
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from storage.errors import MetadataError
from storage.sources.exports import find_exports, read_export
from storage.sources.metadata import join_metadata
from storage.sources.movielens import read_movies
from storage.tables import IDENTITY_SCHEMA, MOVIES_SCHEMA

UDACITY = "id,imdb_id,popularity,budget,revenue,cast,director,tagline,keywords,overview,runtime,genres,production_companies,release_year\n"
KAGGLE = "budget,genres,id,keywords,original_language,overview,popularity,production_companies,production_countries,revenue,runtime,spoken_languages,tagline\n"  # noqa: E501


def export(folder: Path, rows: str, name: str = "e.csv", header: str = UDACITY) -> Path:
    (folder / name).write_text(header + rows, encoding="utf-8")
    return folder / name


def movies(*rows: tuple[int, int | None, str | None]) -> pa.Table:
    return pa.Table.from_pylist(
        [{"movie_id": m, "tmdb_id": t, "imdb_id": i, "title": f"M{m}", "year": None, "genres": []} for m, t, i in rows],
        schema=IDENTITY_SCHEMA,
    )


def test_zeros_jokes_and_placeholders_are_unknown(tmp_path: Path) -> None:
    rows = "1,tt1,0.5,0,11,A|B,C,,k|l,No overview found.,0,Drama,P,1999\n1,tt1,9,9,9,,,,,again,9,,,1999\n"
    table, facts = read_export(export(tmp_path, rows))
    movie = table.to_pylist()[0]
    assert (movie["budget_usd"], movie["revenue_usd"], movie["runtime_minutes"], movie["overview"]) == (None,) * 4
    assert (movie["cast"], movie["directors"], movie["keywords"]) == (["A", "B"], ["C"], ["k", "l"])
    assert facts["dropped_repeated"] == 1


def test_control_characters_and_long_texts(tmp_path: Path) -> None:
    rows = f"1,tt1,0.5,0,0,,,,,a\x07b {'x' * 100_000},90,,,1999\n"
    table, facts = read_export(export(tmp_path, rows))
    overview = table["overview"][0].as_py()
    assert overview.startswith("a b xxx")
    assert len(overview) <= 20_000
    assert facts["texts_cut"] == 1


def test_nul_bytes_in_a_text(tmp_path: Path) -> None:
    table, _ = read_export(export(tmp_path, "1,tt1,0.5,0,0,,,,,a\x00b,90,,,1999\n"))
    assert "\x00" not in table["overview"][0].as_py()


def test_json_dialect_and_broken_rows(tmp_path: Path) -> None:
    names = json.dumps([{"id": 1, "name": "X"}]).replace('"', '""')
    good = f'2000000,"{names}",5,"{names}",en,Text,1.5,"{names}","{names}",0,100,"{names}",Tag\n'
    bad = "1,not json,6,not json,en,Text,1,[],[],0,100,[],Tag\n"
    table, facts = read_export(export(tmp_path, good + bad, header=KAGGLE))
    assert table.num_rows == 1
    assert table.to_pylist()[0]["countries"] == ["X"]
    assert facts["dropped_broken"] == 1


def test_zip_ignores_macosx_and_refuses_pages(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        archive.writestr("__MACOSX/._e.csv", b"\x00\x05")
        archive.writestr("e.csv", UDACITY + "1,tt1,0.5,0,0,,,,,Text,90,,,1999\n")
    assert read_export(tmp_path / "e.zip")[0].num_rows == 1
    (tmp_path / "page.zip").write_text("<!doctype html><html>Not found</html>")
    with pytest.raises(MetadataError, match="found a web page"):
        read_export(tmp_path / "page.zip")
    (tmp_path / "noise.zip").write_bytes(os.urandom(100))
    with pytest.raises(MetadataError, match="expected a zip archive"):
        read_export(tmp_path / "noise.zip")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "x")
    (tmp_path / "none.zip").write_bytes(buffer.getvalue())
    with pytest.raises(MetadataError, match=r"expected one .csv"):
        read_export(tmp_path / "none.zip")


def test_unknown_header_empty_file_and_missing_path(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="expected the header of"):
        read_export(export(tmp_path, "1,2\n", header="a,b\n"))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(MetadataError, match="the file is empty"):
        read_export(tmp_path / "empty.csv")
    with pytest.raises(MetadataError, match="found nothing there"):
        find_exports([tmp_path / "absent.csv"])


def test_join_by_tmdb_then_imdb_with_precedence_by_field(tmp_path: Path) -> None:
    first, _ = read_export(export(tmp_path, "10,tt1,0.5,0,0,,,Short,,,90,,,1999\n", "a.csv"))
    second, _ = read_export(
        export(tmp_path, "10,tt9,0.5,0,5000,,,Other,,Long,80,,,1999\n20,tt2,1,0,0,,,,,By imdb,70,,,1999\n", "b.csv")
    )
    table, facts = join_metadata(movies((1, 10, "tt1"), (2, None, "tt2"), (3, 30, None)), [("a", first), ("b", second)])
    assert table.schema == MOVIES_SCHEMA
    one, two, three = table.to_pylist()
    assert (one["tagline"], one["overview"], one["runtime_minutes"], one["revenue_usd"]) == ("Short", "Long", 90, 5000)
    assert one["metadata_source"] == "a+b"
    assert two["overview"] == "By imdb"
    assert (three["has_metadata"], three["overview"], three["keywords"]) == (False, None, [])
    assert facts["joined_by_tmdb_id_against_imdb_id"] == 1


@pytest.mark.real_data
def test_real_exports() -> None:
    root = os.environ.get("MARQUEE_REAL_DATA")
    if not root:
        pytest.skip("MARQUEE_REAL_DATA names no folder")
    read = [
        (path.name, *read_export(path)) for path in find_exports([Path(root, "tmdb-movies"), Path(root, "tmdb-5000")])
    ]
    assert [(facts["rows"], facts["dropped_repeated"]) for _, _, facts in read] == [(10_866, 1), (4_803, 0)]
    joined, facts = join_metadata(
        read_movies(Path(root, "ml-latest-small"))[0], [(name, table) for name, table, _ in read]
    )
    assert facts["joined_by_tmdb_id_against_imdb_id"] == 5
    assert 0.6 < facts["covered"] / joined.num_rows < 0.75
    assert "No overview found." not in joined["overview"].to_pylist()
