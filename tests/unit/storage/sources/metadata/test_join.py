from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.sources.bad_rows import BadRows
from storage.sources.metadata.fields import source_table
from storage.sources.metadata.files import MetadataFile, find_metadata, read_metadata
from storage.sources.metadata.join import join_metadata
from storage.sources.movielens.movies import read_movies
from storage.sources.movielens.releases import find_release
from storage.tables import IDENTITY_SCHEMA, METADATA_SCHEMA, MOVIES_SCHEMA


def movies(*rows: tuple[int, int | None, str | None]) -> pa.Table:
    return pa.Table.from_pylist(
        [{"movie_id": m, "tmdb_id": t, "imdb_id": i, "title": f"M{m}", "year": None, "genres": []} for m, t, i in rows],
        schema=IDENTITY_SCHEMA,
    )


def test_join_by_tmdb_then_imdb_with_precedence_by_field() -> None:
    first = source_table([{"tmdb_id": 10, "imdb_id": "tt1", "tagline": "Short", "runtime_minutes": 90, "cast": ["A"]}])
    second = source_table(
        [
            {
                "tmdb_id": 10,
                "imdb_id": "tt9",
                "tagline": "Other",
                "overview": "Long",
                "runtime_minutes": 80,
                "cast": ["B"],
            },
            {"tmdb_id": 20, "imdb_id": "tt2", "overview": "By imdb", "adult": False},
        ]
    )
    third = source_table([{"imdb_id": "tt1", "imdb_rating": 8.0}, {"imdb_id": None, "overview": "Nobody's"}])
    joined, facts = join_metadata(
        movies((1, 10, "tt1"), (2, None, "tt2"), (3, 30, None), (4, None, None)),
        [("a", first), ("b", second), ("c", third)],
    )
    assert joined.schema == MOVIES_SCHEMA
    one, two, three, four = joined.to_pylist()
    assert (one["tagline"], one["overview"], one["runtime_minutes"], one["cast"]) == ("Short", "Long", 90, ["A"])
    assert (one["imdb_rating"], one["metadata_source"]) == (8.0, "a+b+c")
    assert (two["overview"], two["adult"], two["metadata_source"]) == ("By imdb", False, "b")
    assert (three["has_metadata"], three["overview"], three["keywords"]) == (False, None, [])
    assert (four["has_metadata"], four["metadata_source"]) == (False, None)
    assert facts["joined_by_tmdb_id_against_imdb_id"] == 1
    assert facts["covered"] == 2
    assert facts["covered_by"] == {"a": 1, "b": 2, "c": 1}
    assert {name: count for name, count in facts["coverage"].items() if count} == {
        "tagline": 1, "overview": 2, "runtime_minutes": 1, "cast": 1, "imdb_rating": 1, "adult": 1,
    }  # fmt: skip


def test_without_sources_everything_is_unknown() -> None:
    joined, facts = join_metadata(movies((1, 10, "tt1")), [])
    assert (joined.schema, facts["covered"]) == (MOVIES_SCHEMA, 0)
    assert joined.to_pylist()[0]["genres"] == []
    assert join_metadata(movies(), [("a", source_table([{"tmdb_id": 1}]))])[0].num_rows == 0


ids = st.one_of(st.none(), st.integers(1, 6))
source_rows = st.lists(
    st.fixed_dictionaries(
        {
            "tmdb_id": ids, "imdb_id": ids.map(lambda n: n and f"tt{n}"), "overview": st.sampled_from((None, "x", "y")),
            "keywords": st.sampled_from(([], ["k"], ["l", "m"])), "budget_usd": st.sampled_from((None, 1.0, 2.0)),
        }
    ),
    max_size=6,
    unique_by=(lambda row: row["tmdb_id"] or object(), lambda row: row["imdb_id"] or object()),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 99), ids, ids.map(lambda n: n and f"tt{n}")), max_size=6),
    st.lists(source_rows, max_size=3),
)
def test_join_is_the_plain_one(rows: list[Any], sources: list[list[dict[str, Any]]]) -> None:
    joined, _ = join_metadata(movies(*rows), [(str(place), source_table(of)) for place, of in enumerate(sources)])
    for (_, tmdb, imdb), found in zip(rows, joined.to_pylist(), strict=True):
        matches = []
        for source in sources:
            by_tmdb = [row for row in source if tmdb and row["tmdb_id"] == tmdb]
            by_imdb = [row for row in source if imdb and row["imdb_id"] == imdb]
            matches += (by_tmdb or by_imdb)[:1]
        for name in ("overview", "keywords", "budget_usd"):
            nothing: Any = [] if name == "keywords" else None
            assert found[name] == next((row[name] for row in matches if row[name]), nothing)
        assert found["has_metadata"] == bool(matches)


def test_real_sources_join_a_real_release(real_data: Path) -> None:
    files = find_metadata(
        (MetadataFile(path=Path(real_data, "tmdb-movies")), MetadataFile(path=Path(real_data, "tmdb-5000")))
    )
    release = read_movies(find_release(Path(real_data, "ml-latest-small")), BadRows())[0]
    joined, facts = join_metadata(release, [(file.path.name, read_metadata(file)[0]) for file in files])
    assert facts["joined_by_tmdb_id_against_imdb_id"] == 5
    assert 0.6 < facts["covered"] / joined.num_rows < 0.75
    assert facts["coverage"].keys() == set(METADATA_SCHEMA.names)
    assert facts["coverage"]["release_date"] > 6000
