"""Blocks parsed at once give the same events, bad lines and counts as lines parsed one by one, on any bytes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from ratings_support import KNOWN

from storage.dataset.item_index import ItemIndex
from storage.dataset.scale import RatingScale
from storage.sources.movielens import ratings_parsing
from storage.sources.movielens.ratings import COLUMNS
from storage.sources.movielens.ratings_grammar import IGNORED, Grammar
from storage.sources.movielens.ratings_parsing import BadLine, parse_at_once, parse_block, parse_line_by_line

number = st.one_of(
    st.integers(0, 12).map(str), st.integers().map(str), st.decimals(-1, 6, places=1).map(str),
    st.sampled_from(["", "4", "4.5", "3.25", "0.333333", "00", "-0", "-", ".", "1.", "5.0000000", "é", "٣", "\x00", '"', " 1", "\r", ":",
                     "123456789012345678", "1234567890123456789", "999999999.5", "1234567890", "4102444799", "4102444800"]),
)  # fmt: skip
delimiters = st.sampled_from([",", "::", "\t", ";"])
good_line = st.tuples(
    st.integers(1, 4), st.integers(1, 4), st.integers(1, 10).map(lambda code: code / 2), st.integers(0, 99)
)
grammars = st.tuples(
    st.sampled_from([bytes(range(4)), bytes([2, 0, 3, 1]), bytes([IGNORED, 0, 1, 2, 3, IGNORED])]),
    st.sampled_from([RatingScale(), RatingScale(lowest=0, highest=1, step=1 / 3), RatingScale(lowest=-1, highest=5, step=0.1)]),
    st.sampled_from([np.array([1, 2, 3]), np.array([-2, 3, 10**15]), np.array([], np.int64)]),
)  # fmt: skip


@st.composite
def near_tables(draw: st.DrawFn) -> tuple[str, str]:
    """A delimiter and lines that are right or nearly so."""
    delimiter = draw(delimiters)
    good = good_line.map(lambda row: list(map(str, row)))
    fields = draw(st.sampled_from([good, good | st.lists(number, min_size=0, max_size=6)]))
    ends = draw(st.sampled_from([st.just("\n"), st.sampled_from(["\n", "\r\n", "\n\n"])]))
    lines = draw(st.lists(st.tuples(fields.map(delimiter.join), ends), max_size=8))
    return delimiter, "".join(line + end for line, end in lines)


any_bytes = st.binary(max_size=80) | st.text('0123456789.-,:;\n\r"', max_size=80).map(str.encode)


def grammar_of(delimiter: str, roles: bytes, scale: RatingScale, known: NDArray[Any]) -> Grammar:
    return Grammar(COLUMNS, delimiter.encode(), roles, scale, ItemIndex(known))


def assert_same(data: bytes, grammar: Grammar) -> None:
    """A block gives what its lines give one by one, however small its parts are."""
    data += b"" if data.endswith(b"\n") or not data else b"\n"
    columns, bad = parse_line_by_line(data, grammar)
    item = grammar.items.of(columns.movie)
    known = item >= 0
    for few_bytes in (1, 40, 1 << 12):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ratings_parsing, "LINE_BY_LINE_BYTES", few_bytes)
            block = parse_block(data, grammar)
        expected = (columns.user[known], item[known], columns.code[known], columns.timestamp[known])
        for found, column in zip(block.events, expected, strict=True):
            assert found.dtype == column.dtype
            np.testing.assert_array_equal(found, column)
        assert block.bad == bad
        assert block.lines == data.count(b"\n")
        assert block.rows == len(item) + len(bad)
        assert block.unknown_movies == len(item) - known.sum()
    for line in bad:
        assert "expected" in line.reason.text


@settings(max_examples=400, deadline=None)
@given(table=near_tables(), parts=grammars)
@example(
    table=("::", "x::1::2::3::4::a:\n:x::1::2::3::4::a\n"), parts=(bytes([4, 0, 1, 2, 3, 4]), RatingScale(), KNOWN)
)
def test_near_tables(table: tuple[str, str], parts: tuple[Any, ...]) -> None:
    assert_same(table[1].encode(), grammar_of(table[0], *parts))


@settings(max_examples=300, deadline=None)
@given(data=any_bytes, delimiter=delimiters, parts=grammars)
def test_any_bytes(data: bytes, delimiter: str, parts: tuple[Any, ...]) -> None:
    assert_same(data, grammar_of(delimiter, *parts))


USUAL = grammar_of(",", bytes(range(4)), RatingScale(), KNOWN)
# What pyarrow alone would read as numbers, skip, or take for the end of a line.
READ_OTHERWISE = [
    b" 1,2,3.0,4", b"1,\t2,3.0,4", b"0x1,2,3.0,4", b"1,2,3.0,0X4", b"\xef\xbb\xbf1,2,3.0,4", b"1,2,3.0,4\r5,2,3.0,4",
    b"0000000000000000001,2,3.0,4", b"1,-1234567890123456789,3.0,4", b'"1",2,3.0,4', b"1,2,,4", b"1,,3,4", b"1,2,NaN,4", b"1,2,3.0,4\r\r",
]  # fmt: skip


@pytest.mark.parametrize("line", READ_OTHERWISE)
def test_lines_that_pyarrow_reads_otherwise(line: bytes) -> None:
    assert parse_at_once(line + b"\n", USUAL) is None
    assert_same(line + b"\n", USUAL)
    assert_same(line + b"\n1,2,3.0,4\n", USUAL)


@pytest.mark.parametrize(
    ("delimiter", "roles", "text"),
    [
        (",", bytes(range(4)), "1,2,3.0,4\n\n-7,3,0.5,5\n"),
        (",", bytes(range(4)), "1,2,3.0,4\r\n\r\n007,3,5,0\r\n"),
        ("::", bytes(range(4)), "1::2::3::4\n5::1::4.50::6\n"),
        ("é", bytes([2, 0, 3, 1]), "3é1é4é2\n"),
        (";", bytes([IGNORED, 0, 1, 2, 3, IGNORED]), " x, y;1;2;3;4;0x1\n;1;2;3;4;é\n"),
    ],
)
def test_good_blocks_are_parsed_at_once(delimiter: str, roles: bytes, text: str) -> None:
    grammar = grammar_of(delimiter, roles, RatingScale(), KNOWN)
    assert parse_at_once(text.encode(), grammar) is not None
    assert_same(text.encode(), grammar)


def test_only_a_few_lines_around_a_bad_one_are_parsed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{place},{1 + place % 4},4.5,{place}" for place in range(20_000)]
    lines[777], lines[15_000] = "1,2,3.0", "1,2,5.5,9"
    parsed = []

    def noted(data: bytes, grammar: Grammar) -> Any:
        parsed.append(len(data))
        return parse_line_by_line(data, grammar)

    monkeypatch.setattr(ratings_parsing, "parse_line_by_line", noted)
    block = parse_block(("\n".join(lines) + "\n").encode(), USUAL)
    assert [(bad.line, bad.text) for bad in block.bad] == [(777, b"1,2,3.0"), (15_000, b"1,2,5.5,9")]
    assert isinstance(block.bad[0], BadLine)
    assert (block.lines, block.rows, block.unknown_movies, len(block.events.item)) == (20_000, 20_000, 5000, 14_998)
    assert len(parsed) == 2
    assert max(parsed) <= ratings_parsing.LINE_BY_LINE_BYTES
