"""Rows are the same from CSV, JSON lines and Parquet; broken ones are refused or set aside with their line."""

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows
from storage.sources.csv_records import CsvFormat
from storage.sources.records import open_records

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=("Cc",)), max_size=12)


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6))
def test_a_table_reads_the_same_from_every_format(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    values = [{"id": str(number), "a": one, "b": other} for number, (one, other) in enumerate(rows)]
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["id", "a", "b"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(values)
    (folder / "t.jsonl").write_text("".join(json.dumps(one) + "\n" for one in values))
    (folder / "t.jsonl.gz").write_bytes(gzip.compress((folder / "t.jsonl").read_bytes()))
    pq.write_table(pa.Table.from_pylist(values), folder / "t.parquet")
    for name in ("t.csv", "t.jsonl", "t.jsonl.gz", "t.parquet"):
        found = open_records(folder / name, BadRows())
        assert [row.values for row in found.rows] == values, name
        assert found.columns == (() if "jsonl" in name else ("id", "a", "b"))


def test_columns_of_a_file_without_a_header_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("7;x\n8;y\n")
    found = open_records(tmp_path / "t.csv", BadRows(), CsvFormat(delimiter=";", header=False))
    assert found.columns == ("1", "2")
    assert [(row.line, row.values) for row in found.rows] == [(1, {"1": "7", "2": "x"}), (2, {"1": "8", "2": "y"})]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.csv", "a,b\n1,2\n3\n4,5\n", "expected 2 fields; found 1"),
        ("t.jsonl", '{"a":1}\n\n[1]\n{"a":4}\n', "expected one JSON object in the line; found: not an object"),
        ("t.jsonl", '{"a":1}\n\n{"a"\n{"a":4}\n', "expected one JSON object in the line"),
    ],
)
def test_a_broken_row_is_refused_or_set_aside(tmp_path: Path, name: str, content: str, reason: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(MetadataError, match=f"{name}, line 3: {reason}"):
        list(open_records(tmp_path / name, BadRows()).rows)
    bad = BadRows("quarantine")
    assert [row.line for row in open_records(tmp_path / name, bad).rows] == [2 if name == "t.csv" else 1, 4]
    assert [(row.file, row.line) for row in bad.rows] == [(name, 3)]


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": list(range(10_000))}), path, use_dictionary=False, compression="zstd")
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    with pytest.raises(MetadataError, match=r"t\.parquet: expected a whole Parquet file; found: .*Fetch it again"):
        open_records(path, BadRows())
    path.write_bytes(whole[:8] + bytes(200) + whole[208:])
    with pytest.raises(MetadataError, match=r"(?s)t\.parquet: expected a whole Parquet file; found: .*Fetch it again"):
        list(open_records(path, BadRows()).rows)


def test_json_nested_100_000_deep_is_a_broken_row(tmp_path: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    (tmp_path / "t.jsonl").write_text(f'{{"a":1}}\n{{"a":{deep}}}\n{{"a":3}}\n')
    bad = BadRows("quarantine")
    assert [row.line for row in open_records(tmp_path / "t.jsonl", bad).rows] == [1, 3]
    assert [(row.line, len(row.text) <= 200) for row in bad.rows] == [(2, True)]
