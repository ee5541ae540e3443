import gzip
import io
import json
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.storage.sources.metadata.exports_support import DETAILS, KAGGLE, LITERALS, UDACITY, export, read_export

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows
from storage.sources.metadata.files import MetadataFile, find_metadata


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
        find_metadata((MetadataFile(path=tmp_path / "absent.csv"),))


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
    with pytest.raises(MetadataError, match="not an archive of a table"):
        read_export(tmp_path / "e.zip")
    with pytest.raises(MetadataError, match="4 MiB in a line"):
        read_export(tmp_path / "line.csv")
    monkeypatch.setattr("storage.sources.packed_files.RATIO_COUNTS_FROM", 1 << 20)
    with pytest.raises(MetadataError, match="not an archive of a table"):
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
