import gzip
import io
import os
import zipfile
from pathlib import Path

import pytest
from unit.storage.sources.metadata.exports_support import UDACITY, read_export

from storage.errors import MetadataError, SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.generic.declaration import GenericParams
from storage.sources.generic.ratings import parsed_ratings


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


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b" \n"])
def test_a_file_of_blank_lines_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blank: bytes) -> None:
    monkeypatch.setattr("storage.sources.packed_files.MAX_BLANK_LINES", 1000)
    monkeypatch.setattr("storage.sources.packed_files.BLOCK_BYTES", 1024)
    row = b"1,tt1,0.5,0,0,,,,,T,90,,,1999\n"
    (tmp_path / "e.csv.gz").write_bytes(
        gzip.compress(UDACITY.encode() + row + blank * 900 + row.replace(b"1", b"2", 2))
    )
    if blank != b" \n":  # a row of one field
        assert read_export(tmp_path / "e.csv.gz")[0].num_rows == 2
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(UDACITY.encode() + row + blank * 5000))
    with pytest.raises(MetadataError, match="expected a table; found more than 1,000 blank lines"):
        read_export(tmp_path / "e.csv.gz")
    ratings = tmp_path / "r.csv.gz"
    ratings.write_bytes(gzip.compress(b"user,item,rating,timestamp\nu,i,4,5\n" + blank * 5000))
    monkeypatch.setattr("storage.sources.generic.ratings.BLOCK_BYTES", 1024)
    if blank != b" \n":
        with pytest.raises(SourceError, match="found more than 1,000 blank lines"):
            list(parsed_ratings(GenericParams(ratings=ratings), BadRows("quarantine")))


def test_a_member_that_zipfile_unpacks_at_once_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "e.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("e.csv", UDACITY + "1,tt1,0.5,0,0,,,,,T,90,,,1999\n")
    with pytest.raises(MetadataError, match="expected a stored or deflated member"):
        read_export(tmp_path / "e.zip")
