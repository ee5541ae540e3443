from items_support import built, items_of

from models.encoders.blocks.certification import BLOCK


def test_a_certificate_is_one_hot() -> None:
    block = built(BLOCK, items_of([True] * 4, {"certification": [["PG-13"], ["PG-13"], ["X"], []]}), least=2, most=8)
    assert block.names == ["PG-13"]  # one item alone is not yet a certification to learn from
    assert block.values.tolist() == [[1], [1], [0], [0]]
