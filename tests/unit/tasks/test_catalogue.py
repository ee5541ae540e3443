import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_artifacts_support import making

from storage.artifacts.store import ArtifactRef
from tasks.catalogue import genres_of, titled, titles_of


@pytest.mark.parametrize(
    ("title", "year", "expected"),
    [
        ("Heat (1995)", 1995, "Heat (1995)"),
        ("Heat", 1995, "Heat (1995)"),
        ("Heat", None, "Heat"),
        ("Doctor Who (2005– )", 2005, "Doctor Who (2005– )"),
        ("The Office (2001–2003)", 2001, "The Office (2001–2003)"),
        ("Se7en (a.k.a. Seven)", 1995, "Se7en (a.k.a. Seven) (1995)"),
    ],
)
def test_a_title_says_its_year_once(title: str, year: int | None, expected: str) -> None:
    assert titled(title, year) == expected


def artifact(name: str, table: pa.Table) -> ArtifactRef:
    with making(name) as draft:
        pq.write_table(table, draft.path / f"{name}.parquet")
    return draft.committed


def test_items_are_looked_up_by_id_and_do_without_a_movies_table() -> None:
    items = artifact("items", pa.table({"movie_id": [3, 5, 9], "title": ["C", None, "E (1990)"]}))
    movies = artifact(
        "movies",
        pa.table(
            {
                "movie_id": [1, 3, 5, 9],
                "year": pa.array([1970, 1980, None, 1990], pa.int16()),
                "genres": [["War"], ["Drama", "War"], [], ["Drama"]],
            }
        ),
    )
    assert titles_of(items, {"movies": movies}) == ["C (1980)", "item 5", "E (1990)"]
    assert genres_of(items, {"movies": movies}) == ["War", "", "Drama"]
    assert titles_of(items, {}) == ["C", "item 5", "E (1990)"]
    assert genres_of(items, {}) == ["", "", ""]
