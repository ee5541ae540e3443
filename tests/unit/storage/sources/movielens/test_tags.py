from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.storage.sources.movielens.tags_support import release

from storage.errors import SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.movielens.movies import read_movies
from storage.sources.movielens.releases import find_release
from storage.sources.movielens.tags import _plain_tags, _strict_tags, read_tags
from storage.tables import TAGS_SCHEMA

KNOWN = np.array([1, 2, 3])
TAGS = "userId,movieId,tag,timestamp\n"


def test_tags_are_normalised_and_what_is_dropped_is_counted(tmp_path: Path) -> None:
    rows = '7,1,"  Time\tTRAVEL, twice ",50\n7,1,funny,60\n7,1,FUNNY ,55\n7,9,funny,60\n8,1,Straße,1\n8,2, ,1\n8,2,null,3\n'
    table, facts = read_tags(release(tmp_path, tags=TAGS + rows), KNOWN, BadRows())
    assert table.schema == TAGS_SCHEMA
    assert table.to_pylist() == [
        {"user_id": 7, "movie_id": 1, "tag": "time travel, twice", "timestamp": 50},
        {"user_id": 7, "movie_id": 1, "tag": "funny", "timestamp": 55},
        {"user_id": 8, "movie_id": 1, "tag": "strasse", "timestamp": 1},
        {"user_id": 8, "movie_id": 2, "tag": "null", "timestamp": 3},
    ]
    assert facts == {
        "rows": 7, "tags": 4, "dropped_unknown_movie": 1, "dropped_empty": 1, "dropped_repeated": 1,
        "distinct": 4, "tagged_movies": 2, "users": 2,
    }  # fmt: skip


def test_absent_and_empty_tags(tmp_path: Path) -> None:
    table, facts = read_tags(release(tmp_path), KNOWN, BadRows())
    assert (table.schema, table.num_rows, facts["tags"]) == (TAGS_SCHEMA, 0, "absent")
    table, facts = read_tags(release(tmp_path, tags=TAGS), KNOWN, BadRows())
    assert (table.schema, table.num_rows, facts["tags"]) == (TAGS_SCHEMA, 0, 0)
    assert read_tags(release(tmp_path, tags=TAGS + "1,1,a,1\n"), KNOWN[:0], BadRows())[1]["dropped_unknown_movie"] == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"7,1,funny", "expected 4 fields; found 3"),
        (b'7,1,"funny,60', "found one that is not closed"),
        (b'7,1,so "funny",60', "found one within"),
        (b"x,1,funny,60", "expected userId and movieId as whole numbers; found 'x', '1'"),
        (b"7,1.0,funny,60", "expected userId and movieId as whole numbers; found '7', '1.0'"),
        (b"7,1,funny,1537799250000", "expected timestamp to be unix seconds from 1970 to 2100; found '1537799250000'"),
        (b"7,1,funny,", "expected timestamp"),
        (b"7,1,caf\xe9,60", "expected UTF-8; found the byte 0xe9"),
        (b"7,1,fun\x00ny,60", "found a NUL byte"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_line(tmp_path: Path, row: bytes, reason: str) -> None:
    text = TAGS.encode() + b'1,1,"a\nb",1\n' + row + b"\n2,2,c,2\n"
    bad = BadRows("quarantine")
    table, facts = read_tags(release(tmp_path, tags=text), KNOWN, bad)
    assert table["tag"].to_pylist() == ["a b", "c"]
    assert (facts["rows"], [(found.file, found.line) for found in bad.rows]) == (2, [("tags.csv", 4)])
    assert reason in bad.rows[0].reason
    with pytest.raises(SourceError, match=r"tags.csv, line 4: expected"):
        read_tags(release(tmp_path, tags=text), KNOWN, BadRows())


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=30) | st.text('",\n\rx1', max_size=12).map(str.encode), st.integers(29, 75))
def test_the_quick_reader_takes_only_what_the_strict_one_takes_whole(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int
) -> None:
    text = TAGS.encode() + b'1,1,"a, b",1\r\n2,2,"c ""d""",2\n3,3,e,3\n4,1,,4'
    found = release(tmp_path_factory.mktemp("t"), tags=text[:place] + noise + text[place:])
    path = found.needed("ratings").with_name("tags.csv")
    quick, bad = _plain_tags(path), BadRows("quarantine")
    strict = _strict_tags(found, path, bad)
    if quick is not None:
        assert not bad.rows
        assert quick.tag.to_pylist() == strict.tag.to_pylist()
        for name in ("user", "movie", "timestamp"):
            assert getattr(quick, name).tolist() == getattr(strict, name).tolist()
    assert bad.table().num_rows == len(bad.rows)


def test_tags_of_ml_10m_may_hold_quotes_and_colons(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::122::5::838985046\n")
    (tmp_path / "movies.dat").write_text("1::A::Drama\n")
    (tmp_path / "tags.dat").write_text('15::1::"Excellent!"::1215184630\n16::1::a::b::9\n16::1::x\n', newline="")
    bad = BadRows("quarantine")
    table, _ = read_tags(find_release(tmp_path), KNOWN, bad)
    assert table["tag"].to_pylist() == ['"excellent!"', "a::b"]
    assert [(row.file, row.line) for row in bad.rows] == [("tags.dat", 3)]


def test_real_tags(real_data: Path) -> None:
    found = find_release(real_data / "ml-latest-small")
    movies, _ = read_movies(found, BadRows())
    table, facts = read_tags(found, movies["movie_id"].to_numpy(), BadRows())
    assert (facts["rows"], facts["tags"], facts["users"], facts["tagged_movies"]) == (3683, 3683, 58, 1572)
    assert '"artsy"' in table["tag"].to_pylist()
