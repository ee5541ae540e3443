"""Tables to plain arrays: what is null, unknown or held out on the way."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.tables import EVENTS_SCHEMA, MOVIES_SCHEMA, TAGS_SCHEMA
from tasks.feature_blocks import (
    count_awards,
    dates_and_awards,
    item_columns,
    item_rows,
    lists_of,
    read_training_events,
    stored_genome,
    stored_tags,
    terms_of,
)

MOVIES = np.array([10, 20, 30])
USERS = pa.table({"user_id": [1, 2, 3], "train_until": [10, -1, 10]})


@settings(deadline=None)  # the first example imports
@given(
    st.lists(st.none() | st.lists(st.none() | st.sampled_from(["a", "b", "é"]), max_size=4), max_size=8), st.booleans()
)
def test_pairs_of_lists(lists: list[list[str | None] | None], split: bool) -> None:
    column = pa.array(lists, pa.list_(pa.string()))
    half = len(column) // 2
    terms = terms_of(pa.chunked_array([column[:half], column[half:]] if split else [column], pa.list_(pa.string())))
    pairs = [(row, terms.vocabulary[code]) for row, code in zip(terms.item.tolist(), terms.code.tolist(), strict=True)]
    assert pairs == [(row, term or "") for row, given in enumerate(lists) for term in given or []]


def test_pairs_of_single_strings() -> None:
    terms = terms_of(pa.chunked_array([["fr", None, "en"]]))
    assert [terms.vocabulary[code] for code in terms.code] == ["fr", "", "en"]  # "" is no term
    assert terms.item.tolist() == [0, 1, 2]


def test_only_training_events_of_known_movies_are_read(tmp_path: Path) -> None:
    rows = [(1, 10, 4.0, 5), (1, 99, 4.0, 5), (1, 30, 3.0, 11), (2, 10, 5.0, 5), (3, 30, 1.0, 10), (8, 10, 1.0, 1)]
    table = pa.Table.from_pylist([dict(zip(EVENTS_SCHEMA.names, row, strict=True)) for row in rows], EVENTS_SCHEMA)
    pq.write_table(table, tmp_path / "events.parquet", row_group_size=2)
    events = read_training_events(tmp_path / "events.parquet", MOVIES, USERS)
    assert events.user.tolist() == [0, 2]
    assert events.item.tolist() == [0, 2]
    assert events.rating.tolist() == [4, 1]
    assert events.timestamp.tolist() == [5, 10]


def test_only_training_users_tags_are_read(tmp_path: Path) -> None:
    rows = [
        (1, 10, " Dark ", 5),
        (2, 10, "secret", 5),
        (3, 20, "dark", 5),
        (3, 20, "late", 99),
        (7, 20, "no ratings", 5),
    ]
    table = pa.Table.from_pylist([dict(zip(TAGS_SCHEMA.names, row, strict=True)) for row in rows], TAGS_SCHEMA)
    pq.write_table(table, tmp_path / "tags.parquet")
    terms = stored_tags(tmp_path / "tags.parquet", MOVIES, USERS)
    assert list(terms.vocabulary) == ["dark"]
    assert terms.item.tolist() == [0, 1]
    pq.write_table(table.slice(0, 0), tmp_path / "tags.parquet")
    assert len(stored_tags(tmp_path / "tags.parquet", MOVIES, USERS).item) == 0


def test_the_genome_goes_to_its_movies(tmp_path: Path) -> None:
    assert stored_genome(tmp_path, MOVIES) is None
    np.save(tmp_path / "genome.npy", np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], np.float32))
    np.save(tmp_path / "genome_movies.npy", np.array([30, 77, 10]))
    (tmp_path / "genome_tags.json").write_text(json.dumps(["dark", "funny"]))
    genome = stored_genome(tmp_path, MOVIES)
    assert genome is not None
    np.testing.assert_allclose(genome.relevance, [[0.5, 0.6], [0, 0], [0.1, 0.2]])
    assert genome.known.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Won 3 Oscars. Another 20 wins & 30 nominations.", (23, 30)),
        ("Nominated for 2 Oscars. Another 1 win & 4 nominations.", (1, 6)),
        ("1 nomination.", (0, 1)),
        (None, (np.nan, np.nan)),
    ],
)
def test_awards_are_counted(text: str | None, expected: tuple[float, float]) -> None:
    np.testing.assert_equal(count_awards(text), expected)


def test_a_movie_of_which_nothing_is_known(tmp_path: Path) -> None:
    rows = [{"movie_id": movie, "external_id": str(movie)} for movie in MOVIES.tolist()]
    movies = pa.Table.from_pylist(rows, MOVIES_SCHEMA)
    pq.write_table(EVENTS_SCHEMA.empty_table(), tmp_path / "events.parquet")
    columns = item_columns(item_rows(movies, np.zeros((3, 4), np.float32), tmp_path / "events.parquet", USERS))
    assert list(columns.texts) == ["  ", "  ", "  "]
    assert all(np.isnan(values).all() for values in columns.numbers.values())
    assert not columns.train.any()
    assert np.isnan(dates_and_awards(movies)["release_month"]).all()


def test_rows_keep_events_tags_and_genome_of_each_item(tmp_path: Path) -> None:
    movies = pa.Table.from_pylist(
        [{"movie_id": movie, "external_id": str(movie)} for movie in MOVIES.tolist()], MOVIES_SCHEMA
    )
    events = [(1, 10, 4.0, 5), (1, 30, 3.0, 6), (3, 30, 1.0, 10)]
    names = EVENTS_SCHEMA.names
    table = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in events], EVENTS_SCHEMA)
    pq.write_table(table, tmp_path / "events.parquet")
    tags = [(3, 30, "late", 2), (1, 10, "dark", 5), (3, 30, "dark", 5), (1, 30, "dark", 7)]
    table = pa.Table.from_pylist([dict(zip(TAGS_SCHEMA.names, row, strict=True)) for row in tags], TAGS_SCHEMA)
    pq.write_table(table, tmp_path / "tags.parquet")
    np.save(tmp_path / "genome.npy", np.array([[0.1, 0.2]], np.float32))
    np.save(tmp_path / "genome_movies.npy", np.array([30]))
    (tmp_path / "genome_tags.json").write_text(json.dumps(["dark", "funny"]))
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    rows = item_rows(movies, vectors, tmp_path / "events.parquet", USERS, tmp_path, tmp_path)
    last = item_columns(rows.slice(2, 1))
    assert item_columns(rows).train.tolist() == [True, False, True]
    np.testing.assert_array_equal(last.text_vectors, vectors[2:])
    assert [last.terms["tags"].vocabulary[code] for code in last.terms["tags"].code] == ["late", "dark", "dark"]
    assert last.genome is not None
    assert last.genome.tags == ["dark", "funny"]
    np.testing.assert_allclose(last.genome.relevance, [[0.1, 0.2]])
    np.testing.assert_allclose(last.of_events["ratings"][0, 0], 2)
    assert item_columns(rows.slice(1, 1)).genome.known.tolist() == [False]  # type: ignore[union-attr]


@given(st.lists(st.lists(st.sampled_from(["a", "b", "é"]), max_size=4), min_size=1, max_size=8))
def test_lists_of_terms_and_back(lists: list[list[str]]) -> None:
    terms = terms_of(pa.chunked_array([lists], pa.list_(pa.string())))
    assert lists_of(terms, len(lists)).to_pylist() == lists
