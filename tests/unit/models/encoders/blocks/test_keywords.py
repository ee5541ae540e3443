from items_support import built, items_of

from models.encoders.blocks.keywords import BLOCK


def test_keywords_are_of_training_items() -> None:
    lists = [["heist", "love"], ["heist"], [], ["love", "only here"]]
    block = built(BLOCK, items_of([True, True, True, False], {"keywords": lists}), least=1, most=8)
    assert block.names == ["heist", "love"]  # the commonest first; what only an item outside training has is unknown
    assert block.values.tolist() == [[1, 1], [1, 0], [0, 0], [0, 1]]
    assert block.known.tolist() == [True, True, False, True]
    assert built(BLOCK, items_of([True]), least=1, most=8).names == []
