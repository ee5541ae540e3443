"""Ratings as people write them, and what is wrong with them."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from serving import ratings_file
from serving.errors import RatingsFileError
from serving.ratings_file import known_history, parse_rating, read_ratings_file
from serving.recommend import Recommender


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "my.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_ids_titles_and_order(tmp_path: Path, recommender: Recommender) -> None:
    text = "\ufeffTitle;MovieId;Rating;Timestamp\nHeat;;5;2020-01-03\nx;10;4.5;100\n\nThe Matrix (1999);;2;1577836800\n"
    history = known_history(read_ratings_file(written(tmp_path, text)), recommender.catalogue, lambda *_: None)
    assert [(one.movie_id, one.rating) for one in history.rated] == [(10, 4.5), (10, 2.0), (12, 5.0)]
    assert history.not_found == []


def test_without_timestamps_the_rows_are_in_order(tmp_path: Path) -> None:
    rows = read_ratings_file(written(tmp_path, 'rating,title\n5,"Heat, the ""film"""\n1,b\n'))
    assert [(one.title, one.rating) for one in rows] == [('Heat, the "film"', 5.0), ("b", 1.0)]


def test_a_doubtful_title_is_asked_about(recommender: Recommender) -> None:
    asked = []

    def ask(title: str, proposals: Sequence[int]) -> int | None:
        asked.append((title, tuple(proposals)))
        return None if title == "Heet" else proposals[0]

    rows = [parse_rating(text) for text in ("Solaris=5", "Heet=1", "13=4", "qqqqqqq=3", "Film 9 = 2")]
    history = known_history(rows, recommender.catalogue, ask)
    assert [one.movie_id for one in history.rated] == [14, 13, 19]
    assert history.not_found == ["Heet", "qqqqqqq"]
    assert asked == [("Solaris", (4, 5)), ("Heet", (2,))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("movieId,stars\n1,5\n", r"expected the columns movieId or title, and rating; found movieid, stars"),
        ("", "found none"),
        ("movieId,rating\n1,five\n", r"my.csv:2: expected a rating; found 'five'"),
        ("movieId,rating\n1,nan\n", "expected a rating; found 'nan'"),
        ("movieId,rating\n1,5,3\n", "expected 2 values; found 3"),
        ("movieId,rating,timestamp\n1,5,soon\n", "expected unix seconds or an ISO date; found 'soon'"),
        (b"movieId,rating\n\xff,5\n", "expected a CSV file in UTF-8"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(RatingsFileError, match=message):
        read_ratings_file(written(tmp_path, text))


def test_absent_and_large_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RatingsFileError, match="No such file"):
        read_ratings_file(tmp_path / "absent.csv")
    monkeypatch.setattr(ratings_file, "MOST_BYTES", 3)
    with pytest.raises(RatingsFileError, match="expected at most 3 bytes; found 6"):
        read_ratings_file(written(tmp_path, "movie\n"))


@pytest.mark.parametrize("text", ["Heat", "=5", "Heat=", "Heat=inf"])
def test_a_single_rating_has_a_title_and_a_number(text: str) -> None:
    with pytest.raises(RatingsFileError, match="expected"):
        parse_rating(text)
