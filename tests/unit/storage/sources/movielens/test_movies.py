import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import RatingsSchemaError, SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.movielens.movies import parse_title, read_movies
from storage.sources.movielens.releases import Release, find_release
from storage.tables import IDENTITY_SCHEMA


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


def csv_release(folder: Path, movies: str | bytes, links: str | None = None) -> Release:
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.0,20\n")
    (folder / "movies.csv").write_bytes(movies.encode() if isinstance(movies, str) else movies)
    if links is not None:
        (folder / "links.csv").write_text(links, newline="")
    return find_release(folder)


def test_links_without_tmdb_ids_and_absent_links(tmp_path: Path) -> None:
    text = 'movieId,title,genres\n2,"B, The (2000)",Drama|War\n1,A,(no genres listed)\n'
    movies, facts = read_movies(csv_release(tmp_path, text), BadRows())
    assert movies.schema == IDENTITY_SCHEMA
    assert movies["tmdb_id"].to_pylist() == [None, None]
    assert facts["links"] == "absent"
    links = "movieId,imdbId,tmdbId\r\n1,0114709,\r\n2,1,862\r\n"
    movies, facts = read_movies(csv_release(tmp_path, text, links), BadRows())
    assert movies.to_pylist()[0] == {
        "movie_id": 1, "external_id": "1", "tmdb_id": None, "imdb_id": "tt0114709", "title": "A", "year": None, "genres": [],
    }  # fmt: skip
    assert movies.to_pylist()[1]["imdb_id"] == "tt0000001"
    assert movies.to_pylist()[1]["title"] == "The B"
    assert (facts["without_tmdb_id"], facts["links"], facts["without_genres"]) == (1, 2, 1)


def test_a_byte_order_mark_crlf_other_column_order_and_quoted_line_ends(tmp_path: Path) -> None:
    text = '\ufeffgenres,movieId,"title",extra\r\nDrama,7,"Two\r\nlines, ""quoted"" (1999)",x\r\n\r\nWar,3,Last,y'
    movies, _ = read_movies(csv_release(tmp_path, text), BadRows())
    assert movies["title"].to_pylist() == ["Last", 'Two lines, "quoted"']
    assert movies["genres"].to_pylist() == [["War"], ["Drama"]]


BAD_MOVIES = [
    (b"4,No genres", "expected 3 fields; found 2"),
    (b"4,One,Drama,more", "expected 3 fields; found 4"),
    (b'4,The "Big" One,Drama', "expected quotes around whole fields, doubled inside; found one within"),
    (b'4,"Never closed,Drama', "expected quotes around whole fields, doubled inside; found one that is not closed"),
    (b'4,"Closed" early,Drama', "found one within, or text after it"),
    (b"four,A,Drama", "expected movieId as a whole number; found 'four'"),
    (b",A,Drama", "expected movieId as a whole number; found ''"),
    (b"-4,A,Drama", "expected movieId as a whole number; found '-4'"),
    (b"1_0,A,Drama", "expected movieId as a whole number"),
    (b"99999999999999999999,A,Drama", "expected movieId as a whole number"),
    ("٤,A,Drama".encode(), "expected movieId as a whole number"),
    (b"4,Caf\xe9 (2001),Drama", "expected UTF-8; found the byte 0xe9"),
    (b"4,A\x00B,Drama", "expected text; found a NUL byte"),
    (b"4,A\rB,Drama", "found a carriage return without them"),
    (b"2,Again,Drama", "expected every movieId once; found 2 again, first in line 3"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_MOVIES)
def test_a_bad_row_is_set_aside_with_its_line(tmp_path: Path, row: bytes, reason: str) -> None:
    before = b'movieId,title,genres\n1,A,Drama\n2,"B\nin two lines",Drama\n\n'
    release = csv_release(tmp_path, before + row + b'\n5,"C, The",War\n6,D,War\n')
    bad = BadRows("quarantine")
    movies, _ = read_movies(release, bad)
    assert movies["movie_id"].to_pylist() == [1, 2, 5, 6]
    assert [(found.file, found.line) for found in bad.rows] == [("movies.csv", 6)]
    assert reason in bad.rows[0].reason
    assert bad.table().num_rows == 1
    with pytest.raises(
        SourceError, match=rf"movies.csv, line 6: expected.*{re.escape(reason.removeprefix('expected'))}"
    ):
        read_movies(release, BadRows())


def test_a_truncated_last_line(tmp_path: Path) -> None:
    bad = BadRows("quarantine")
    movies, _ = read_movies(csv_release(tmp_path, 'movieId,title,genres\n1,A,Drama\n2,"B, Th'), bad)
    assert movies["movie_id"].to_pylist() == [1]
    assert bad.rows[0].line == 3


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2,12,x", "expected imdbId and tmdbId as whole numbers or nothing; found '12', 'x'"),
        ("2,nm12,7", "found 'nm12', '7'"),
        ("1,12,7", "expected every movieId once; found 1 again, first in line 2"),
        ("2,12", "expected 3 fields; found 2"),
    ],
)
def test_a_bad_link_is_set_aside_and_its_movie_stays(tmp_path: Path, row: str, reason: str) -> None:
    release = csv_release(
        tmp_path, "movieId,title,genres\n1,A,Drama\n2,B,Drama\n", f"movieId,imdbId,tmdbId\n1,1,1\n{row}\n"
    )
    bad = BadRows("quarantine")
    movies, _ = read_movies(release, bad)
    assert movies["tmdb_id"].to_pylist() == [1, None]
    assert [(found.file, found.line) for found in bad.rows] == [("links.csv", 3)]
    assert reason in bad.rows[0].reason


@pytest.mark.parametrize(
    ("text", "error", "expected"),
    [
        ("", SourceError, "the file is empty"),
        ("movieId,title,genres\n", SourceError, "found none"),
        ("id,title,genres\n1,A,Drama\n", RatingsSchemaError, "expected columns movieId,title,genres"),
        ("<html>not here</html>", SourceError, "found a web page"),
        (b"\x1f\x8b\x08\x00", SourceError, "found an archive"),
    ],
)
def test_what_is_no_movies_table_is_refused(
    tmp_path: Path, text: str | bytes, error: type[Exception], expected: str
) -> None:
    with pytest.raises(error, match=expected):
        read_movies(csv_release(tmp_path, text), BadRows("quarantine"))


def test_ml_100k(tmp_path: Path) -> None:
    genres = ["unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"]
    genres += [
        "Fantasy",
        "Film-Noir",
        "Horror",
        "Musical",
        "Mystery",
        "Romance",
        "Sci-Fi",
        "Thriller",
        "War",
        "Western",
    ]
    (tmp_path / "u.data").write_text("196\t242\t3\t881250949\n")
    (tmp_path / "u.genre").write_text("".join(f"{name}|{place}\n" for place, name in enumerate(genres)) + "\n")

    def flags(*names: str) -> str:
        return "|".join("1" if name in names else "0" for name in genres)

    address = "http://us.imdb.com/M/title-exact?A%20(1995)"
    items = [
        f"1|Toy Story (1995)|01-Jan-1995||{address}|{flags('Animation', 'Comedy')}",
        f"267|unknown||||{flags('unknown')}",
        f"543|Misérables, Les (1995)|01-Jan-1995||{address}|{flags('Drama')}",
        f"1412|Land Before Time III: The Time of the Great Giving (1995) (V)|01-Jan-1995||{address}|{flags()}",
        f"1358|Undated|4-Feb-1971||{address}|{flags('War')}",
        f"1359|Short||||{flags()[:-2]}",
        f"1360|Flagged|01-Jan-1990||{address}|{flags()[:-1]}2",
    ]
    (tmp_path / "u.item").write_bytes("\n".join(items).encode("latin-1") + b"\n")
    bad = BadRows("quarantine")
    release = find_release(tmp_path)
    movies, facts = read_movies(release, bad)
    assert release.kind == "ml-100k"
    rows = {row["movie_id"]: (row["title"], row["year"], row["genres"], row["tmdb_id"]) for row in movies.to_pylist()}
    assert rows == {
        1: ("Toy Story", 1995, ["Animation", "Comedy"], None),
        267: ("unknown", None, [], None),
        543: ("Les Misérables", 1995, ["Drama"], None),
        1358: ("Undated", 1971, ["War"], None),
        1412: ("Land Before Time III: The Time of the Great Giving", 1995, [], None),
    }
    assert facts["links"] == "absent"
    assert [(row.line, row.reason[:20]) for row in bad.rows] == [
        (6, "expected 24 fields; "),
        (7, "expected a flag, 0 o"),
    ]


def test_ml_1m_is_latin_1_and_a_converted_copy_is_seen(tmp_path: Path) -> None:
    text = "73::Misérables, Les (1995)::Drama|Musical\n2::What:: Now?: (1999)::Children's\n3::Bad\nx::Y::Z\n"
    (tmp_path / "ratings.dat").write_text("1::73::5::978300760\n")
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n")
    for encoding in ("latin-1", "utf-8"):
        (tmp_path / "movies.dat").write_bytes(text.encode(encoding))
        bad = BadRows("quarantine")
        movies, _ = read_movies(find_release(tmp_path), bad)
        assert movies["title"].to_pylist() == ["What:: Now?:", "Les Misérables"]
        assert movies["genres"].to_pylist() == [["Children's"], ["Drama", "Musical"]]
        assert [row.line for row in bad.rows] == [3, 4]


def test_ml_10m_is_utf_8_and_quotes_are_plain_characters(tmp_path: Path) -> None:
    first, second = '1::"Great Performances" Cats (1998)::Musical', "2::Amélie (Destin, Le) (2001)::(no genres listed)"
    (tmp_path / "ratings.dat").write_text("1::122::5::838985046\n")
    (tmp_path / "tags.dat").write_text("15::4973::excellent!::1215184630\n")
    (tmp_path / "movies.dat").write_bytes(f"{first}\n{second}".encode() + b"\n3::Caf\xe9 (1999)::Drama\n")
    bad = BadRows("quarantine")
    movies, facts = read_movies(find_release(tmp_path), bad)
    assert movies["title"].to_pylist() == ['"Great Performances" Cats', "Amélie (Destin, Le)"]
    assert facts["without_genres"] == 1
    assert [(row.line, row.reason) for row in bad.rows] == [(3, "expected UTF-8; found the byte 0xe9")]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 90))
def test_damage_is_set_aside_with_a_line_that_exists(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int
) -> None:
    text = b'movieId,title,genres\n1,"A, The (1999)",Drama|War\n2,B (2000),Drama\n3,"C ""c"" C",War\n'
    folder = tmp_path_factory.mktemp("r")
    data = text[:place] + noise + text[place:]
    bad = BadRows("quarantine")
    try:
        movies, _ = read_movies(csv_release(folder, data), bad)
        assert movies.num_rows >= 1
    except SourceError as error:
        assert "expected" in str(error)
    assert all(1 < row.line <= data.count(b"\n") + 1 for row in bad.rows)
    assert bad.table().num_rows == len(bad.rows)


def test_real_release(real_data: Path) -> None:
    folder = real_data / "ml-latest-small"
    movies, facts = read_movies(find_release(folder), BadRows())
    assert movies.num_rows == 9742
    assert facts["without_tmdb_id"] == 8
    assert facts["sharing_a_tmdb_id"] == 1
