"""The pure way of parsing gives the same events, bad lines and counts as the compiled one, on any bytes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ratings_support import KNOWN

from storage.compiled import helper
from storage.dataset.scale import RatingScale
from storage.sources.movielens.ratings import COLUMNS
from storage.sources.movielens.ratings_parsing import IGNORED, Grammar, Workspace, parse_block, parse_purely, reason_of

needs_compiled = pytest.mark.skipif(helper("_ratings") is None, reason="storage._ratings is not built")

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


def assert_same(data: bytes, grammar: Grammar) -> None:
    data += b"" if data.endswith(b"\n") or not data else b"\n"
    one = parse_block(np.frombuffer(data, np.uint8), grammar, Workspace(len(data)))
    other = parse_purely(data, grammar)
    for left, right in zip(one.events, other.events, strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    assert one[1:] == other[1:]
    for line in one.bad:
        assert "expected" in reason_of(line.text, grammar).text


@needs_compiled
@settings(max_examples=400, deadline=None)
@given(table=near_tables(), parts=grammars)
@example(
    table=("::", "x::1::2::3::4::a:\n:x::1::2::3::4::a\n"), parts=(bytes([4, 0, 1, 2, 3, 4]), RatingScale(), KNOWN)
)
def test_both_ways_agree_on_near_tables(table: tuple[str, str], parts: tuple[Any, ...]) -> None:
    assert_same(table[1].encode(), Grammar(COLUMNS, table[0].encode(), *parts))


@needs_compiled
@settings(max_examples=300, deadline=None)
@given(data=any_bytes, delimiter=delimiters, parts=grammars)
def test_both_ways_agree_on_any_bytes(data: bytes, delimiter: str, parts: tuple[Any, ...]) -> None:
    assert_same(data, Grammar(COLUMNS, delimiter.encode(), *parts))
