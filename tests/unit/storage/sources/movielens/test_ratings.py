"""Ratings tables: which are read, which are refused, and the messages."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ratings_support import HEADER, events_of, read, written

from storage.dataset.scale import RatingScale
from storage.errors import MarqueeError, RatingsSchemaError, RatingsValueError, SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.movielens import ratings_text
from storage.sources.movielens.movies import read_movies
from storage.sources.movielens.ratings import RatingsLayout
from storage.sources.movielens.releases import find_release


def test_sorted_by_user_and_time_with_ties_in_file_order(tmp_path: Path) -> None:
    histories, facts = read(written(tmp_path, HEADER + "2,1,4.0,20\n1,3,5.0,10\n1,1,0.5,10\n1,2,3.5,5\n"))
    assert events_of(histories) == [(1, 1, 7, 5), (1, 2, 10, 10), (1, 0, 1, 10), (2, 0, 8, 20)]
    assert [column.dtype for column in histories] == [np.int64, np.int64, np.int32, np.uint8, np.int64]
    assert facts == {
        "rows": 4, "events": 4, "dropped_unknown_movie": 0, "dropped_repeated": 0, "of_these_contradicting": 0, "users": 2,
        "rated_movies": 3, "first_timestamp": 5, "last_timestamp": 20, "quarantined": 0, "quarantined_by_file": {},
    }  # fmt: skip


def test_large_and_negative_ids(tmp_path: Path) -> None:
    known = np.array([-5, 7, 10**17])
    text = HEADER + f"{2**40},{10**17},4.0,20\n-3,-5,5.0,30\n{2**40},7,5.0,10\n-3,6,1,1\n"
    histories, facts = read(written(tmp_path, text), known)
    assert events_of(histories) == [(-3, 0, 10, 30), (2**40, 1, 10, 10), (2**40, 2, 8, 20)]
    assert facts["dropped_unknown_movie"] == 1


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("\ufeffuser,item,stars,when\r\n7,1,4.0,20\r\n7,2,0.5,30", {"columns": ("user", "item", "stars", "when")}),
        ("7::1::4::20\n7::2::0.5::30\n", {"delimiter": b"::", "header": False}),
        ("7\t1\t4\t20\n\n7\t2\t0.50\t30\n", {"delimiter": b"\t", "header": False}),
        ("timestamp;note;rating;userId;movieId;more\n20;é;4.0;7;1;\n30;;0.5;7;2;x,y\n", {"delimiter": b";"}),
        ('"userId","movieId","rating","timestamp"\n007,1,4,20\r\n\r\n7,2,.5,30\n7,2,0.5,30\n', {}),
    ],
    ids=["byte-order mark, CRLF, mapped, no last newline", "two colons", "tab, empty line", "any order, more columns", "quoted header"],
)  # fmt: skip
def test_layouts(tmp_path: Path, text: str, layout: dict[str, Any]) -> None:
    bad = BadRows("quarantine")
    histories, facts = read(written(tmp_path, text), bad=bad, **layout)
    assert events_of(histories) == [(7, 0, 8, 20), (7, 1, 1, 30)]
    assert [row.line for row in bad.rows] == ([4] if ".5,30\n7" in text else [])
    assert facts["quarantined"] == len(bad.rows)


def test_another_scale(tmp_path: Path) -> None:
    scale = RatingScale(lowest=-10, highest=10, step=0.25)
    histories, _ = read(written(tmp_path, HEADER + "1,1,-10.00,5\n1,2,-0.25,6\n1,3,10,7\n"), scale=scale)
    assert (scale.rating_min + scale.step * histories.code).tolist() == [-10, -0.25, 10]


def test_unknown_movies_and_repeated_events_are_dropped_and_counted(tmp_path: Path) -> None:
    histories, facts = read(written(tmp_path, HEADER + "1,1,4.0,20\n1,1,4.0,20\n1,1,2.0,20\n1,9,5.0,30\n1,1,2.0,21\n"))
    assert histories.code.tolist() == [8, 4]
    assert facts["dropped_unknown_movie"] == 1
    assert facts["dropped_repeated"] == 2
    assert facts["of_these_contradicting"] == 1


BAD_LINES: list[tuple[bytes, type[SourceError], str]] = [
    (b"1,2,7,30", RatingsValueError, "expected rating to be 0.5, 1 … 5; found 7"),
    (b"1,2,3.3,30", RatingsValueError, "expected rating to be 0.5, 1 … 5; found 3.3"),
    (b"1,2,NaN,30", RatingsValueError, "expected rating to be 0.5, 1 … 5; found 'NaN'"),
    (b"1,2,,30", RatingsValueError, "expected rating to be 0.5, 1 … 5; found nothing"),
    (b"1,2,3e0,30", RatingsValueError, "expected rating to be 0.5, 1 … 5; found '3e0'"),
    (b"1,2,3.,30", RatingsValueError, "expected rating to be 0.5, 1 … 5; found '3.'"),
    (b"1,2,-0.5,30", RatingsValueError, "expected rating to be 0.5, 1 … 5; found -0.5"),
    (b"1,2,3.0,-1", RatingsValueError, "expected timestamp to be unix seconds from 1970 to 2100; found -1"),
    (b"1,2,3.0,1537799250000", RatingsValueError, "expected timestamp to be unix seconds from 1970 to 2100; found 1537799250000"),
    (b"1,2,3.0,4102444800", RatingsValueError, "expected timestamp to be unix seconds from 1970 to 2100; found 4102444800"),
    (b"1,2,3.0,12.5", RatingsValueError, "expected timestamp to be unix seconds from 1970 to 2100; found 12.5"),
    (b",2,3.0,30", RatingsValueError, "expected userId to be a whole number of at most 18 digits; found nothing"),
    (b"x,2,3.0,30", RatingsValueError, "expected userId to be a whole number of at most 18 digits; found 'x'"),
    (b" 1,2,3.0,30", RatingsValueError, "expected userId to be a whole number of at most 18 digits; found ' 1'"),
    (b"1,1234567890123456789,3,30", RatingsValueError, "expected movieId to be a whole number of at most 18 digits; found"),
    (b"1,1.0,3,30", RatingsValueError, "expected movieId to be a whole number of at most 18 digits; found 1.0"),
    (b"1,2,3.0", RatingsSchemaError, "expected 4 fields; found 3"),
    (b"1,2,3.0,30,", RatingsSchemaError, "expected 4 fields; found 5"),
    (b"1", RatingsSchemaError, "expected 4 fields; found 1"),
    (b'"1",2,3.0,30', RatingsSchemaError, "expected numbers without quotation marks; found one"),
    (b"1,\xd9\xa1,3.0,30", RatingsSchemaError, r"expected movieId in ASCII digits; found bytes of another encoding: b'\xd9\xa1'"),
    (b"1,2,3.0,30\x00", RatingsSchemaError, "expected text; found a NUL byte"),
    (b"1,2,3.0,30\r\r", RatingsValueError, "expected timestamp to be unix seconds from 1970 to 2100; found '30\\r"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "error", "reason"), BAD_LINES, ids=lambda value: repr(value)[:30])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""], ids=["LF", "CRLF", "last line"])
def test_every_kind_of_bad_line(tmp_path: Path, line: bytes, error: type[SourceError], reason: str, end: bytes) -> None:
    path = written(tmp_path, f"{HEADER}1,1,4.0,20\n\n".encode() + line + end)
    with pytest.raises(error) as caught:
        read(path)
    assert f"ratings.csv, line 4: {reason}" in str(caught.value)
    bad = BadRows("quarantine")
    histories, facts = read(path, bad=bad)
    assert events_of(histories) == [(1, 0, 8, 20)]
    assert (facts["rows"], facts["quarantined"], bad.rows[0].line) == (2, 1, 4)
    assert bad.rows[0].reason.startswith(reason)
    assert bad.rows[0].text.startswith(line.decode("utf-8", "replace")[:-2])


@pytest.mark.parametrize(
    ("text", "error", "expected"),
    [
        ("user,item,stars\n1,1,4\n", RatingsSchemaError, "expected columns userId,movieId,rating,timestamp, each once"),
        ("userId;movieId;rating;timestamp\n1;1;4;3\n", RatingsSchemaError, "found userId;movieId;rating;timestamp"),
        ("userId,userId,movieId,rating,timestamp\n", RatingsSchemaError, "found userId,userId"),
        ("", SourceError, "the file is empty"),
        (HEADER, SourceError, "only a header"),
        (HEADER + "\r\n\n", SourceError, "only a header"),
        ("<!DOCTYPE html><html>404</html>", SourceError, "found a web page"),
        (b"PK\x03\x04aaaaaaaa", SourceError, "found an archive"),
        ((HEADER + "1,1,4,20\n").encode("utf-16"), SourceError, "found UTF-16"),
        ((HEADER + "1,1,4,20\n").encode("utf-16-le"), SourceError, "found UTF-16"),
        (HEADER + "1,9,4.0,20\n", SourceError, "found none"),
        (HEADER + "1,9,4.0,20\n" + "1" * 70_000 + "\n" * 2, RatingsSchemaError, "expected 4 fields"),
    ],
)  # fmt: skip
def test_what_is_no_ratings_table_is_refused(
    tmp_path: Path, text: str | bytes, error: type[Exception], expected: str
) -> None:
    with pytest.raises(error, match=expected):
        read(written(tmp_path, text))


def test_missing_file_and_unusable_delimiter(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected a file; found none"):
        read(tmp_path / "ratings.csv")
    with pytest.raises(ValueError, match="no number holds"):
        RatingsLayout(tmp_path, delimiter=b"-")


def test_a_file_of_mostly_bad_rows_is_the_wrong_file(tmp_path: Path) -> None:
    half = HEADER + "1,1,4.0,20\n" * 2 + "no\n" * 2
    assert len(read(written(tmp_path, half), bad=BadRows("quarantine"))[0].item) == 1
    with pytest.raises(SourceError, match="found 3 bad rows in 5, the first in line 4: expected 4 fields; found 1"):
        read(written(tmp_path, half + "no\n"), bad=BadRows("quarantine"))


def test_the_first_bad_line_of_a_long_file_is_named_and_blocks_may_cut_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{user},{user % 3 + 1},{user % 10 / 2 + 0.5},{user}" for user in range(20_000)]
    path = written(tmp_path, HEADER + "\r\n".join(lines))
    whole, facts = read(path)
    monkeypatch.setattr(ratings_text, "BLOCK_BYTES", 997)
    monkeypatch.setattr(ratings_text, "LONGEST_LINE_BYTES", 64)
    cut, cut_facts = read(path)
    assert events_of(cut) == events_of(whole)
    assert cut_facts == facts
    lines[15_000] = lines[19_999] = "7,7"
    with pytest.raises(RatingsSchemaError, match=r"line 15002: expected 4 fields; found 2"):
        read(written(tmp_path, HEADER + "\n".join(lines)))
    lines[15_000] = "1,1,4,5"
    lines[19_999] = "7,1,4,1e3"
    with pytest.raises(RatingsValueError, match=r"line 20001: expected timestamp .* found '1e3'"):
        read(written(tmp_path, HEADER + "\n".join(lines)))
    lines[9_000] = "1" * 5000
    with pytest.raises(SourceError, match="lines of at most 64 bytes"):
        read(written(tmp_path, HEADER + "\n".join(lines)))


@settings(max_examples=60, deadline=None)
@given(noise=st.binary(max_size=60), place=st.integers(0, 60))
def test_random_damage_gives_only_typed_errors(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int
) -> None:
    text = (HEADER + "1,1,4.0,20\n1,2,3.0,30\n").encode()
    path = written(tmp_path_factory.mktemp("r"), text[:place] + noise + text[place:])
    try:
        assert len(read(path)[0].item) >= 1
    except MarqueeError as error:
        assert "expected" in str(error)


def test_real_release(real_data: Path) -> None:
    folder = real_data / "ml-latest-small"
    histories, facts = read(
        folder / "ratings.csv", read_movies(find_release(folder), BadRows())[0]["movie_id"].to_numpy()
    )
    assert (len(histories.item), facts["users"], facts["rated_movies"]) == (100_836, 610, 9724)


FULL_TIMES = HEADER + "60,1,4.0,847434962\n60,2,3.0,847434963\n60,3,3.5,847434964"


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_last_line_that_is_torn_in_its_timestamp_is_a_bad_row(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path, FULL_TIMES[:-cut])
    with pytest.raises(RatingsValueError, match=r"ratings.csv, line 4: timestamp: expected a line end, or .* 9 digits"):
        read(path)
    bad = BadRows("quarantine")
    histories, facts = read(path, bad=bad)
    assert histories.timestamp.tolist() == [847434962, 847434963]
    assert (facts["rows"], [(row.line, row.text) for row in bad.rows]) == (3, [(4, FULL_TIMES[:-cut].split("\n")[-1])])


@pytest.mark.parametrize("text", [FULL_TIMES, HEADER + "1,1,4.0,0\n1,2,4.0,12\n2,3,4.0,8", HEADER + "1,1,4,5"])
def test_a_whole_last_line_needs_no_line_end_and_order_numbers_are_times(tmp_path: Path, text: str) -> None:
    assert len(read(written(tmp_path, text))[0].item) == text.count("\n")
