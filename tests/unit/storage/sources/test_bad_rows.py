import io

import pyarrow.parquet as pq
import pytest

from storage.errors import MetadataError, RatingsSchemaError
from storage.sources import bad_rows
from storage.sources.bad_rows import BadRows


def test_reject_says_where_and_what_to_do() -> None:
    with pytest.raises(MetadataError, match=r"a.csv, line 7: expected x; found y. Correct .* on_bad_rows=quarantine"):
        BadRows().add("a.csv", 7, "expected x; found y", "text", MetadataError)


def test_whatever_was_read_can_be_kept_aside() -> None:
    bad = BadRows("quarantine")
    bad.add("a.csv", 2, "expected a title; found '\ud800'", "\ud800" + "x" * 500)
    pq.write_table(bad.table(), io.BytesIO())
    assert bad.facts() == {"quarantined": 1, "quarantined_by_file": {"a.csv": 1}}
    assert len(bad.rows[0].text) == 200


def test_there_is_an_end_to_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad_rows, "MOST_ROWS", 3)
    bad = BadRows("quarantine")
    for line in range(3):
        bad.add("a.csv", line, "expected x; found y", "")
    with pytest.raises(RatingsSchemaError, match="at most 3 rows to set aside"):
        bad.add("a.csv", 9, "expected x; found y", "")
