"""The items table keeps embeddings, ids and the order of the movies."""

import numpy as np
import pyarrow as pa
import pytest

from storage.tables import METADATA_SCHEMA, MOVIES_SCHEMA, SOURCE_SCHEMA, embedding_matrix, items_table


def movies(rows: int) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"movie_id": 10 * row, "external_id": f"x{row}", "title": f"Film {row}", "year": 1990 + row if row else None,
             "has_metadata": row % 2 == 0}
            for row in range(rows)
        ],
        schema=MOVIES_SCHEMA,
    )  # fmt: skip


def test_embeddings_come_back_from_whole_cut_and_joined_tables() -> None:
    embedding = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    items = items_table(movies(6), embedding, np.ones(6, dtype=bool))
    assert np.array_equal(embedding_matrix(items), embedding)
    assert np.array_equal(embedding_matrix(items.slice(2, 3)), embedding[2:5])
    assert np.array_equal(
        embedding_matrix(pa.concat_tables([items.slice(3), items.slice(0, 3)])), embedding[[3, 4, 5, 0, 1, 2]]
    )


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_row_is_a_movie_with_its_index_and_year(order: str) -> None:
    embedding = np.asarray(np.arange(6, dtype=np.float64).reshape(3, 2), order=order)  # type: ignore[call-overload]
    items = items_table(movies(3), embedding, np.array([True, False, True]))
    assert items["item_index"].to_pylist() == [0, 1, 2]
    assert items["title"].to_pylist() == ["Film 0", "Film 1 (1991)", "Film 2 (1992)"]
    assert items["embedding"].to_pylist() == [[0, 1], [2, 3], [4, 5]]
    assert items["has_text"].to_pylist() == [True, False, True]
    assert items["external_id"].to_pylist() == ["x0", "x1", "x2"]


def test_the_tables_of_sources_and_movies_have_the_same_metadata_columns() -> None:
    for schema in (SOURCE_SCHEMA, MOVIES_SCHEMA):
        assert [schema.field(one.name) for one in METADATA_SCHEMA] == list(METADATA_SCHEMA)
