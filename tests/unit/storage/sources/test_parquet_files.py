"""A Parquet file of a few kilobytes may unpack to any size; bounds are met before the bytes are."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.errors import SourceError
from storage.sources import packed_files, parquet_files
from storage.sources.parquet_files import ParquetTable
from storage.sources.parquet_pages import column_chunks, page_headers

PLAIN: dict[str, Any] = {"store_schema": False, "compression": "zstd", "write_statistics": False}


def written(folder: Path, columns: dict[str, Any], **how: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "t.parquet", **(PLAIN | how))
    return folder / "t.parquet"


def read(path: Path, rows: int = 1000) -> list[pa.RecordBatch]:
    table = ParquetTable(path, SourceError)
    return list(table.batches(rows, table.schema.names))


def repeated(text: str, times: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(times, np.int32)), pa.array([text]))


def test_one_text_in_every_row_is_refused_before_it_is_repeated(tmp_path: Path) -> None:
    path = written(tmp_path, {"a": repeated("x" * (1 << 18), 2000)}, dictionary_pagesize_limit=1 << 20)
    assert path.stat().st_size < 2000
    with pytest.raises(
        SourceError, match=r"t.parquet: expected at most 16 GiB and 200 times the packed size; found 2621"
    ):
        read(path)


def test_a_list_that_repeats_a_text_is_refused(tmp_path: Path) -> None:
    entries = repeated("x" * (1 << 18), 500)
    lists = pa.ListArray.from_arrays(pa.array([0, 500], pa.int32()), entries.dictionary_decode())
    path = written(tmp_path, {"a": lists}, dictionary_pagesize_limit=1 << 20)
    with pytest.raises(SourceError, match="200 times the packed size"):
        read(path)


@pytest.mark.parametrize(
    ("limit", "value", "columns", "expected"),
    [
        ("MAX_CELL_BYTES", 100, {"a": ["x" * 101]}, "at most 100 bytes in a cell; found 101 in column a"),
        ("MAX_CELL_BYTES", 100, {"a": [["x", "y" * 101]]}, "at most 100 bytes in a cell; found 101 in column a"),
        ("MAX_PAGE_BYTES", 1000, {"a": ["x" * 2000]}, "at most 1,000 bytes in a page; found 2,0.. in a"),
        ("MAX_PAGES", 2, {"a": [1], "b": ["c"]}, "at most 2 pages; found more"),
        ("MAX_NESTED_VALUES", 999, {"a": [[0] * 1000]}, "at most 999 list entries in a row group; found 1,000"),
        ("MAX_BATCH_BYTES", 999, {"a": [["x"] * 200]}, "at most 999 bytes in a row; found 1,8"),
        ("MAX_FIXED_BYTES", 9, {"a": pa.array([b"0" * 10], pa.binary(10))}, "at most 9 bytes in a value; found 10 in a"),
    ],
)  # fmt: skip
def test_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, columns: dict[str, Any], expected: str
) -> None:
    path = written(tmp_path, columns)
    assert read(path)
    monkeypatch.setattr(parquet_files, limit, value)
    with pytest.raises(SourceError, match=expected):
        read(path)


def test_rows_that_take_no_bytes_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, {"a": np.zeros(200_000, np.int8)})
    monkeypatch.setattr(packed_files, "RATIO_COUNTS_FROM", 1 << 20)
    assert path.stat().st_size < 2000
    with pytest.raises(SourceError, match=r"200 times the packed size; found 10\d{5} bytes or more"):
        read(path)


def test_maps_and_two_columns_of_a_name_are_refused(tmp_path: Path) -> None:
    maps = pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string()))
    with pytest.raises(SourceError, match="texts, times and lists of them; found map"):
        read(written(tmp_path, {"a": maps}))
    two = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(two, tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="expected column a once; found a, a"):
        read(tmp_path / "t.parquet")


def test_large_batches_come_in_pieces_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [letter * 1000 for letter in "abcd"] * 250
    path = written(tmp_path, {"number": range(1000), "text": texts, "lists": [[text] for text in texts]})
    monkeypatch.setattr(parquet_files, "MAX_BATCH_BYTES", 100_000)
    pieces = read(path)
    assert len(pieces) > 20
    whole = pa.Table.from_batches(pieces)
    assert whole["number"].to_pylist() == list(range(1000))
    assert whole["text"].to_pylist() == texts
    assert [entry for (entry,) in whole["lists"].to_pylist()] == texts


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_headers_of_all_pages_are_found(tmp_path: Path, version: str, compression: str, dictionary: bool) -> None:
    lengths = np.random.default_rng(0).integers(0, 300, 5000).tolist()
    columns = {
        "number": [length << 30 for length in lengths],
        "text": [None if row % 7 == 0 else "é" * length for row, length in enumerate(lengths)],
        "lists": [[1.5] * (length % 4) for length in lengths],
    }
    how = {
        "compression": compression,
        "use_dictionary": dictionary,
        "data_page_version": version,
        "data_page_size": 4096,
    }
    path = written(tmp_path, columns, write_statistics=True, row_group_size=2000, **how)
    metadata = pq.read_metadata(path)
    with path.open("rb") as stream:
        groups = column_chunks(stream.fileno())
        assert len(groups) == metadata.num_row_groups == 3
        found = [page for chunks in groups for chunk in chunks for page in page_headers(stream.fileno(), chunk)]
        assert len(found) > 15
        for group, chunks in enumerate(groups):
            for place, chunk in enumerate(chunks):
                expected = metadata.row_group(group).column(place)
                pages = list(page_headers(stream.fileno(), chunk))
                assert sum(page.values for page in pages) == chunk.values == expected.num_values
                unpacked = sum(page.unpacked_bytes for page in pages)
                assert unpacked < expected.total_uncompressed_size < unpacked + 1500 * len(pages)


def damaged(folder: Path, changes: list[tuple[int, int]]) -> Path:
    """A table of which some bytes are changed: each place, and its new value."""
    path = written(folder, {"a": range(50), "b": ["x", None] * 25, "c": [["y", "z"]] * 50})
    data = bytearray(path.read_bytes())
    for place, value in changes:
        data[place % len(data)] = value
    path.write_bytes(data)
    return path


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 679), st.integers(0, 255)), min_size=1, max_size=3))
def test_random_damage_gives_only_typed_errors(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    path = damaged(tmp_path, changes)
    try:
        assert sum(batch.num_rows for batch in read(path)) <= 1_000_000
    except SourceError as error:
        assert "expected" in str(error)


# Found by the test above. At the first, pyarrow.parquet.ParquetFile.metadata.row_group(0).column(0) aborts the process.
@pytest.mark.parametrize("changes", [[(363, 34)], [(375, 96), (493, 37)], [(400, 2), (557, 127)]])
def test_a_damaged_footer_does_not_end_the_process(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    path = damaged(tmp_path, changes)
    with pytest.raises(SourceError, match="expected a whole Parquet file"):
        read(path)
