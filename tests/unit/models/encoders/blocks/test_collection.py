from items_support import built, items_of

from models.encoders.blocks.collection import BLOCK


def test_films_of_a_series_share_a_column() -> None:
    block = built(
        BLOCK, items_of([True] * 4, {"collection": [["Star Wars"], ["Star Wars"], ["Shaft"], []]}), least=2, most=8
    )
    assert block.names == ["Star Wars"]  # one item alone is not yet a collection to learn from
    assert block.values.tolist() == [[1], [1], [0], [0]]
