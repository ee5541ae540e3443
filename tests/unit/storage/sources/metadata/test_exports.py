import csv
import datetime as dt
import gzip
import io
import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows
from storage.sources.metadata.exports import find_exports, read_export
from storage.tables import SOURCE_SCHEMA

UDACITY = "id,imdb_id,popularity,budget,revenue,cast,director,tagline,keywords,overview,runtime,genres,production_companies,release_year\n"
LITERALS = "adult,belongs_to_collection,budget,genres,id,imdb_id,original_title,overview,popularity,production_companies,release_date,status\n"  # noqa: E501
KAGGLE = "budget,genres,id,keywords,original_language,overview,popularity,production_companies,production_countries,revenue,runtime,spoken_languages,tagline\n"  # noqa: E501


def export(folder: Path, rows: str, name: str = "e.csv", header: str = UDACITY) -> Path:
    (folder / name).write_text(header + rows, encoding="utf-8")
    return folder / name


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


def test_short_dates_take_the_century_of_the_release_year_or_are_unknown(tmp_path: Path) -> None:
    header = "id,imdb_id,overview,release_date,release_year\n"
    rows = "1,,A,4/5/68,1968\n2,,B,6/9/15,2015\n3,,C,6/9/15,1966\n4,,D,13/9/15,2015\n5,,E,,2015\n"
    table, _ = read_export(export(tmp_path, rows, header=header))
    assert table["release_date"].to_pylist() == [dt.date(1968, 4, 5), dt.date(2015, 6, 9), None, None, None]


def test_python_literals_are_matched_not_evaluated(tmp_path: Path) -> None:
    genres = "\"[{'id': 16, 'name': 'Animation'}, {'id': 35, 'name': \"\"Kids' \\u0041\"\"}]\""
    collection = "\"{'id': 1, 'name': 'Toys', 'poster_path': None}\""
    good = f"False,{collection},5000,{genres},862,tt0114709,Toy,Text,1.5,[],1995-10-30,Released\n"
    evil = "".join(
        f"False,,0,{cell},{place},,,T,1,[],,\n"
        for place, cell in enumerate(("[" * 5000, "-" * 5000, "[1]", "{'a': {}}"), 1)
    )
    shifted = " - Written by X,0.06,/a.jpg,[],1997-08-20,0,104.0,T,1,[],,\n"
    bad = BadRows("quarantine")
    table, facts = read_export(export(tmp_path, good + evil + shifted, header=LITERALS), bad)
    (movie,) = table.to_pylist()
    assert (movie["metadata_genres"], movie["collection"]) == (["Animation", "Kids' A"], "Toys")
    assert (movie["adult"], movie["status"], movie["release_date"]) == (False, "Released", dt.date(1995, 10, 30))
    assert facts["dropped_broken"] == 5
    assert [row.line for row in bad.rows] == [3, 4, 5, 6, 7]


def test_literals_cannot_be_made_to_hang(tmp_path: Path) -> None:
    cells = ["[" + "{'name': 'a', " * 20_000, "[{" + "'a'" * 50_000, "'" * 100_000, "[{'n': '" + "\\" * 100_001]
    rows = "".join(f"False,,0,{cell.replace(chr(44), ';')},{place},,,T,1,[],,\n" for place, cell in enumerate(cells))
    start = time.monotonic()
    with pytest.raises(MetadataError, match="none readable"):
        read_export(export(tmp_path, rows, header=LITERALS))
    assert time.monotonic() - start < 5


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


def test_keywords_beside_the_exports(tmp_path: Path) -> None:
    path = export(
        tmp_path, "862,\"[{'id': 931, 'name': 'jealousy'}, {'id': 4290, 'name': 'toy'}]\"\n", header="id,keywords\n"
    )
    (movie,) = read_export(path)[0].to_pylist()
    assert (movie["tmdb_id"], movie["keywords"]) == (862, ["jealousy", "toy"])


def test_broken_rows_are_told_by_line_even_behind_quoted_line_ends(tmp_path: Path) -> None:
    rows = '1,tt1,0.5,0,0,,,,,"a\r\nb\n\nc",90,,,1999\n\nsix,tt2,0.5,0,0,,,,,x,90,,,1999\n'
    path = export(tmp_path, rows)
    with pytest.raises(MetadataError, match=r"e.csv, line 7: expected a TMDB id \(a whole number\); found 'six'"):
        read_export(path, BadRows("reject"))
    bad = BadRows("quarantine")
    table, _ = read_export(path, bad)
    assert table["overview"].to_pylist() == ["a b c"]
    assert [(row.file, row.line) for row in bad.rows] == [("e.csv", 7)]


def test_one_stray_quote_or_wrong_byte_costs_one_row(tmp_path: Path) -> None:
    good = "1,tt1,0.5,0,0,,,,,Fine,90,,,1999\n"
    stray = '2,tt2,0.5,0,0,,,,,"Never closed,90,,,1999\n'
    short = "4,tt4\n"
    path = tmp_path / "e.csv"
    last = good.replace("1,tt1", "3,tt3").encode()
    path.write_bytes((UDACITY + good + stray).encode() + last.replace(b"Fine", b"\xff") + short.encode() + last)
    bad = BadRows("quarantine")
    table, _ = read_export(path, bad)
    assert table["tmdb_id"].to_pylist() == [1, 3]
    assert [row.line for row in bad.rows] == [3, 4, 5]
    assert "quotes closed" in bad.rows[0].reason
    assert "utf-8" in bad.rows[1].reason
    assert "14 fields; found 2" in bad.rows[2].reason


DETAILS: dict[str, Any] = {
    "id": 607, "imdb_id": "tt0119654", "title": "Men", "genres": [{"id": 1, "name": "Action"}], "release_date": "1997-07-02",
    "belongs_to_collection": {"name": "Men Collection"}, "adult": False, "revenue": 12, "budget": 90_000_000,
    "spoken_languages": [{"english_name": "Spanish", "name": "Español"}],
    "keywords": {"keywords": [{"name": "alien"}]},
    "release_dates": {"results": [{"iso_3166_1": "DE", "release_dates": [{"certification": "12"}]},
                                  {"iso_3166_1": "US", "release_dates": [{"certification": ""}, {"certification": "PG-13"}]}]},
    "credits": {"cast": [{"name": f"A{place}"} for place in range(9)],
                "crew": [{"name": "D", "job": "Director", "department": "Directing"},
                         {"name": "W", "job": "Screenplay", "department": "Writing"}]},
}  # fmt: skip


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
    assert find_exports([tmp_path]) == [path]
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


def test_gzipped_csv_and_its_damages(tmp_path: Path) -> None:
    packed = gzip.compress(
        (UDACITY + "".join(f"{n},tt{n},0.5,0,0,,,,,T{n},90,,,1999\n" for n in range(1, 3000))).encode()
    )
    path = tmp_path / "e.csv.gz"
    path.write_bytes(packed)
    assert read_export(path)[0].num_rows == 2999
    for damaged in (packed[:-9000], packed[:-4], packed[:5000] + b"\x00\x00" + packed[5002:], b"id,imdb_id\n1,2\n"):
        path.write_bytes(damaged)
        with pytest.raises(MetadataError, match="expected a whole file"):
            read_export(path)


def test_bombs_are_refused_before_they_go_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = b"1,tt1,0.5,0,0,,,,,T,90,,,1999\n"
    with (
        zipfile.ZipFile(tmp_path / "e.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("e.csv", "w") as member,
    ):
        for _ in range(70):
            member.write(row * 35_000)
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(UDACITY.encode() + row * 100_000))
    (tmp_path / "line.csv").write_text(UDACITY + "1,tt1," + "9" * (5 << 20))
    with pytest.raises(MetadataError, match="no honest archive"):
        read_export(tmp_path / "e.zip")
    with pytest.raises(MetadataError, match="4 MiB in a line"):
        read_export(tmp_path / "line.csv")
    monkeypatch.setattr("storage.sources.packed_files.RATIO_COUNTS_FROM", 1 << 20)
    with pytest.raises(MetadataError, match="no honest archive"):
        read_export(tmp_path / "e.csv.gz")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(("e.csv", "e.csv.gz", "e.zip", "e.jsonl", "k.csv", "l.csv")),
    noise=st.one_of(
        st.binary(max_size=40), st.sampled_from([b'"', b'""', b"\n", b"\r", b"\x00", b"\xff", b"[", b"\\", b"'"])
    ),
    place=st.integers(0, 700),
    drop=st.integers(0, 20),
    inside=st.booleans(),
)
def test_random_damage_gives_only_typed_errors(
    tmp_path: Path, kind: str, noise: bytes, place: int, drop: int, inside: bool
) -> None:
    names = "[{'id': 1, 'name': 'X'}]"
    whole = {
        "e": UDACITY + '1,tt1,0.5,0,0,A|B,C,,k|l,"x, y",90,Drama,P,1999\n2,tt2,,,,,,,,,,,,\n',
        "k": KAGGLE + '2,"[{""name"": ""X""}]",5,[],en,Text,1.5,[],[],0,100,[],Tag\n',
        "l": LITERALS + f'False,,5000,"{names}",862,tt0114709,Toy,Text,1.5,[],1995-10-30,Released\n',
    }
    data = (json.dumps(DETAILS) + "\n" if kind == "e.jsonl" else whole[kind[0]]).encode()

    def damage(text: bytes) -> bytes:
        at = min(place, len(text))
        return text[:at] + noise + text[at + drop :]

    data = damage(data) if inside else data
    if kind.endswith(".gz"):
        data = gzip.compress(data)
    elif kind.endswith(".zip"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("e.csv", data)
        data = buffer.getvalue()
    (tmp_path / kind).write_bytes(data if inside else damage(data))
    try:
        table, _ = read_export(tmp_path / kind)
        table.validate(full=True)
        assert table.num_rows >= 1
    except MetadataError as error:
        assert "expected" in str(error)


@pytest.mark.real_data
def test_real_exports_have_no_broken_row() -> None:
    root = os.environ.get("MARQUEE_REAL_DATA")
    if not root:
        pytest.skip("MARQUEE_REAL_DATA names no folder")
    read = [
        read_export(path, BadRows("reject"))
        for path in find_exports([Path(root, "tmdb-movies"), Path(root, "tmdb-5000")])
    ]
    assert [(facts["rows"], facts["dropped_repeated"]) for _, facts in read] == [(10_866, 1), (4_803, 0)]
    udacity, kaggle = (table for table, _ in read)
    dates = [day for day in udacity["release_date"].to_pylist() if day]
    assert len(dates) == udacity.num_rows
    assert sum(day.year < 1969 for day in dates) == 331  # two-digit years put these into the future
    assert max(dates).year == 2015
    assert "No overview found." not in udacity["overview"].to_pylist()
    assert kaggle["status"].null_count == 0


@pytest.mark.real_data
def test_real_details_as_json_lines(tmp_path: Path) -> None:
    root = os.environ.get("MARQUEE_REAL_DATA")
    if not root:
        pytest.skip("MARQUEE_REAL_DATA names no folder")
    names = (
        "movie_details_607",
        "movie_details_10140",
        "movie",
        "movie-blank-homepage-release-date",
        "error-status-response",
    )
    bodies = [json.loads(Path(root, "tmdb-api", f"{name}.json").read_text()) for name in names]
    (tmp_path / "d.jsonl").write_text("\n".join(json.dumps(body) for body in bodies))
    bad = BadRows("quarantine")
    table, _ = read_export(tmp_path / "d.jsonl", bad)
    assert [row.line for row in bad.rows] == [5]
    men = table.to_pylist()[0]
    assert (men["tmdb_id"], men["imdb_id"], men["certification"]) == (607, "tt0119654", "PG-13")
    assert men["directors"] == ["Barry Sonnenfeld"]
    assert men["cast"][:2] == ["Tommy Lee Jones", "Will Smith"]
