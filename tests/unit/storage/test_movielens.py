import os
from pathlib import Path

import pytest

from storage.errors import SourceError
from storage.sources.movielens import parse_title, read_movies, source_files

HEADER = "userId,movieId,rating,timestamp\n"


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
    assert movies.num_rows == 9742
    assert facts["without_tmdb_id"] == 8
    assert facts["sharing_a_tmdb_id"] == 1
