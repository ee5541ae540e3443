from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.storage.sources.metadata.exports_support import UDACITY, export, read_export

from storage.errors import MetadataError
from storage.sources import csv_records as csv_module
from storage.sources.bad_rows import BadRows
from storage.sources.csv_records import CsvFormat, CsvRecord, csv_records


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


def lines_read(monkeypatch: pytest.MonkeyPatch, lines: list[bytes]) -> tuple[int, list[CsvRecord]]:
    """The number of lines that the CSV reader was given, some of them again, and the records."""
    read = 0
    original = csv_module._reader

    def counting(lines: Iterator[str], form: CsvFormat) -> Iterator[list[str]]:
        def counted() -> Iterator[str]:
            nonlocal read
            for line in lines:
                read += 1
                yield line

        return original(counted(), form)

    monkeypatch.setattr(csv_module, "_reader", counting)
    records = list(csv_records(lines))
    return read, records


def test_a_file_of_unclosed_quotes_is_read_about_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_module, "MAX_READ_AGAIN_BYTES", 1 << 20)
    hostile = [b'x",y,"'] * 30_000  # a quote is open after every line, wherever reading begins
    read, records = lines_read(monkeypatch, hostile)
    again = (1 << 20) // (len(hostile[0]) + 64) + 1000
    assert read <= 2 * len(hostile) + again
    assert [record.line for record in records] == list(range(1, len(hostile) + 1))
    assert all(record.problem for record in records[:-1])


def test_a_record_of_many_long_lines_is_broken_at_8_mib(monkeypatch: pytest.MonkeyPatch) -> None:
    long = b'x",' + b"y" * (1 << 20) + b',"'
    read, records = lines_read(monkeypatch, [long] * 12 + [b"1,2"])
    assert read <= 9 + 9 * 12
    assert (len(records), records[-1].fields, records[0].problem) == (13, ["1", "2"], records[1].problem)
    assert "or 8 MiB in a field" in (records[0].problem or "")
