"""New movies from a file: what may be left out, and what is refused."""

import json
from pathlib import Path

import pytest

from storage.errors import MetadataError
from storage.sources.new_items import read_new_items
from storage.tables import MOVIES_SCHEMA


def written(folder: Path, text: str, name: str = "new.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_columns_are_named_as_in_the_movies_table_and_most_may_be_left_out(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "movieId,title,genres,overview,cast,runtime_minutes\n"
        '9,"Matrix, The (1999)",Action|Sci-Fi,Hackers.,Keanu Reeves|Carrie-Anne Moss,136\n'
        "tt7,Nobody,(no genres listed),,,\n",
    )
    movies = read_new_items(path)
    assert movies.schema == MOVIES_SCHEMA
    first, second = movies.to_pylist()
    assert (first["movie_id"], first["title"], first["year"]) == (9, "The Matrix", 1999)
    assert (first["genres"], first["cast"]) == (["Action", "Sci-Fi"], ["Keanu Reeves", "Carrie-Anne Moss"])
    assert (first["overview"], first["runtime_minutes"], first["has_metadata"]) == ("Hackers.", 136, True)
    assert (second["external_id"], second["year"], second["genres"]) == ("tt7", None, [])
    assert (second["overview"], second["has_metadata"]) == (None, False)
    lines = "\n".join(json.dumps(row) for row in ({"movie_id": 3, "year": 2001}, {"movie_id": 2, "genres": ["War"]}))
    again = read_new_items(written(tmp_path, lines, "new.jsonl")).to_pylist()
    assert [(row["movie_id"], row["title"], row["year"], row["genres"]) for row in again] == [
        (2, "2", None, ["War"]),
        (3, "3", 2001, []),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title\nHeat\n", "0 columns of ids"),
        ("movie_id,movieId\n1,2\n", "2 columns of ids"),
        ("movie_id,overveiw\n1,x\n", "unknown columns overveiw"),
        ("movie_id,title\n1,Heat,more\n2,Ran\n", "line 2: expected 2 fields; found 3.*there are 1"),
        ("movie_id,runtime_minutes\n1,long\n", "line 2: runtime_minutes: expected a number; found 'long'"),
        ("movie_id\n1\n1\n", "line 3: expected every item once; found '1' again"),
        ("movie_id\n", "found none"),
        ("", "the file is empty"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MetadataError, match=message):
        read_new_items(written(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match=r"nothing\.csv: expected a file of movies"):
        read_new_items(tmp_path / "nothing.csv")
