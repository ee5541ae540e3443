from pathlib import Path

import pytest
from unit.storage.sources.metadata.exports_support import UDACITY, export, read_export

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows


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
