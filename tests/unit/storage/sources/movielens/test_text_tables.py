import csv
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from storage.errors import SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.movielens.text_tables import read_rows

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@settings(max_examples=80, deadline=None)
@given(st.lists(TEXT, max_size=8), st.booleans())
def test_whatever_csv_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, titles: list[str], windows: bool
) -> None:
    path = tmp_path_factory.mktemp("r") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\r\n" if windows else "\n")
        writer.writerows([["a", "b"], *([str(place), title] for place, title in enumerate(titles))])
    lone = [title for title in titles if "\r" in title or title.count("\n") > 90]
    assume(not lone)  # csv leaves lone carriage returns unquoted
    rows = list(read_rows(path, ("a", "b"), BadRows()))
    assert [row.fields[1] for row in rows] == titles
    line = 2
    for row, title in zip(rows, titles, strict=True):
        assert row.line == line
        line += 1 + title.count("\n")


def test_a_file_too_large_for_the_memory_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "t.csv").open("wb") as stream:
        stream.truncate((1 << 30) + 1)  # without blocks on the disk
    with pytest.raises(SourceError, match="expected at most 1,073,741,824 bytes, because it is read into memory"):
        list(read_rows(tmp_path / "t.csv", ("a", "b"), BadRows()))
