from items_support import built, items_of

from models.encoders.blocks.genres import BLOCK


def test_both_sources_of_genres_are_kept_apart() -> None:
    items = items_of([True, True], {"genres": [["Drama"], ["War"]], "metadata_genres": [["Drama"], []]})
    block = built(BLOCK, items, least=1, most=8)
    assert block.names == ["genre: Drama", "genre: War", "metadata genre: Drama"]
    assert block.values.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert block.known.all()


def test_one_source_is_enough() -> None:
    assert built(BLOCK, items_of([True], {"genres": [["Drama"]]}), least=1, most=8).names == ["genre: Drama"]
