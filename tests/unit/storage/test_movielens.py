import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import MarqueeError, RatingsSchemaError, RatingsValueError, SourceError
from storage.sources.movielens import parse_title, read_movies, read_ratings, source_files

HEADER = "userId,movieId,rating,timestamp\n"
KNOWN = np.array([1, 2, 3])


def ratings(folder: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    (folder / "ratings.csv").write_bytes(data)
    return folder


def test_sorted_by_user_and_time_with_ties_in_file_order(tmp_path: Path) -> None:
    table, facts = read_ratings(ratings(tmp_path, HEADER + "2,1,4.0,20\n1,3,5.0,10\n1,1,0.5,10\n1,2,3.5,5\n"), KNOWN)
    assert table.to_pydict() == {
        "user_id": [1, 1, 1, 2],
        "movie_id": [2, 3, 1, 1],
        "rating": [3.5, 5.0, 0.5, 4.0],
        "timestamp": [5, 10, 10, 20],
    }
    assert facts["users"] == 2


def test_large_user_ids_are_sorted_alike(tmp_path: Path) -> None:
    large = 2**40
    table, _ = read_ratings(ratings(tmp_path, HEADER + f"{large},1,4.0,20\n7,3,5.0,30\n7,2,5.0,10\n"), KNOWN)
    assert table["user_id"].to_pylist() == [7, 7, large]
    assert table["timestamp"].to_pylist() == [10, 30, 20]


def test_crlf_byte_order_mark_and_mapped_columns(tmp_path: Path) -> None:
    text = "﻿user,item,stars,when\r\n1,1,4.0,20\r\n"
    columns = {"userId": "user", "movieId": "item", "rating": "stars", "timestamp": "when"}
    table, _ = read_ratings(ratings(tmp_path, text), KNOWN, columns)
    assert table.num_rows == 1


def test_unknown_movies_and_repeated_events_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = "1,1,4.0,20\n1,1,4.0,20\n1,1,2.0,20\n1,9,5.0,30\n1,1,2.0,21\n"
    table, facts = read_ratings(ratings(tmp_path, HEADER + rows), KNOWN)
    assert table["rating"].to_pylist() == [4.0, 2.0]
    assert facts["dropped_unknown_movie"] == 1
    assert facts["dropped_repeated"] == 2
    assert facts["of_these_contradicting"] == 1


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("1,2,7,30", r"ratings.csv, line 3: expected rating to be 0.5, 1.0 … 5.0; found 7.0"),
        ("1,2,NaN,30", "line 3: expected rating"),
        ("1,2,,30", "line 3: expected rating"),
        ("1,2,3.3,30", "found 3.3"),
        ("1,2,3.0,-1", "line 3: expected timestamp to be unix seconds"),
        ("1,2,3.0,1537799250000", "found 1537799250000"),
        (",2,3.0,30", "line 3: expected userId"),
    ],
)
def test_values_outside_their_domain_name_the_line(tmp_path: Path, row: str, expected: str) -> None:
    with pytest.raises(RatingsValueError, match=expected):
        read_ratings(ratings(tmp_path, f"{HEADER}1,1,4.0,20\n{row}\n"), KNOWN)


@pytest.mark.parametrize(
    ("text", "error", "expected"),
    [
        (
            "user,item,stars\n1,1,4\n",
            RatingsSchemaError,
            "expected columns userId,movieId,rating,timestamp; found user,item,stars",
        ),
        ("", SourceError, "the file is empty"),
        (HEADER, SourceError, "only a header"),
        ("<!DOCTYPE html><html>404</html>", SourceError, "found a web page"),
        (b"PK\x03\x04aaaaaaaa", SourceError, "found an archive"),
        (HEADER + "1,1,4.0,20\n1,1,4.0\n", RatingsSchemaError, "Mend the line"),
        (HEADER + "1,one,4.0,20\n", RatingsSchemaError, "movieId as int64"),
        (HEADER + "1,9,4.0,20\n", SourceError, "found none"),
    ],
)
def test_what_is_no_ratings_table_is_refused(
    tmp_path: Path, text: str | bytes, error: type[Exception], expected: str
) -> None:
    with pytest.raises(error, match=expected):
        read_ratings(ratings(tmp_path, text), KNOWN)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 60))
def test_random_damage_gives_only_typed_errors(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int
) -> None:
    text = (HEADER + "1,1,4.0,20\n1,2,3.0,30\n").encode()
    folder = ratings(tmp_path_factory.mktemp("r"), text[:place] + noise + text[place:])
    try:
        table, _ = read_ratings(folder, KNOWN)
        assert table.num_rows >= 1
    except MarqueeError as error:
        assert "expected" in str(error)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected ratings.csv; found nothing"):
        source_files(tmp_path)
    (tmp_path / "ratings.csv").write_text(HEADER)
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n")
    assert source_files(tmp_path)["tags.csv"] is None


@pytest.mark.parametrize(
    ("text", "title", "year"),
    [
        ("Matrix, The (1999)", "The Matrix", 1999),
        (
            "City of Lost Children, The (Cité des enfants perdus, La) (1995)",
            "The City of Lost Children (Cité des enfants perdus, La)",
            1995,
        ),
        ("Babylon 5", "Babylon 5", None),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey", 1968),
        ("Fawlty Towers (1975-1979)", "Fawlty Towers", 1975),
        ("Avventura, L' (Adventure, The) (1960)", "L'Avventura (Adventure, The)", 1960),
    ],
)
def test_titles(text: str, title: str, year: int | None) -> None:
    assert parse_title(text) == (title, year)


def test_links_without_tmdb_ids_and_absent_links(tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text('movieId,title,genres\n2,"B, The (2000)",Drama|War\n1,A,(no genres listed)\n')
    movies, facts = read_movies(tmp_path)
    assert movies["tmdb_id"].to_pylist() == [None, None]
    assert facts["links"] == "absent"
    (tmp_path / "links.csv").write_text("movieId,imdbId,tmdbId\n1,0114709,\n2,1,862\n")
    movies, facts = read_movies(tmp_path)
    assert movies.to_pylist()[0] == {
        "movie_id": 1, "external_id": "1", "tmdb_id": None, "imdb_id": "tt0114709", "title": "A", "year": None, "genres": [],
    }  # fmt: skip
    assert movies.to_pylist()[1]["imdb_id"] == "tt0000001"
    assert facts["without_tmdb_id"] == 1


def test_a_movie_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,A,Drama\n1,B,Drama\n")
    with pytest.raises(SourceError, match="every movieId once"):
        read_movies(tmp_path)


@pytest.mark.real_data
def test_real_release() -> None:
    root = os.environ.get("MARQUEE_REAL_DATA")
    if not root:
        pytest.skip("MARQUEE_REAL_DATA names no folder")
    folder = Path(root) / "ml-latest-small"
    movies, facts = read_movies(folder)
    events, counts = read_ratings(folder, movies["movie_id"].to_numpy())
    assert (movies.num_rows, events.num_rows, counts["users"], counts["rated_movies"]) == (9742, 100_836, 610, 9724)
    assert facts["without_tmdb_id"] == 8
    assert facts["sharing_a_tmdb_id"] == 1
