from items_support import built, items_of

from models.encoders.blocks.people import BLOCK


def test_a_person_has_a_column_for_each_trade() -> None:
    eastwood = [["Clint Eastwood"], ["Clint Eastwood"], []]
    items = items_of([True] * 3, {"cast": eastwood, "directors": eastwood, "writers": [["A"], ["B"], ["C"]]})
    block = built(BLOCK, items, least=2, most=8)
    assert block.names == ["cast: Clint Eastwood", "director: Clint Eastwood"]
    assert block.values.tolist() == [[1, 1], [1, 1], [0, 0]]
    assert block.known.tolist() == [True, True, False]


def test_the_busiest_stay() -> None:
    cast = [["a", "b", "c"], ["a", "b"], ["a"]]
    assert built(BLOCK, items_of([True] * 3, {"cast": cast}), least=1, most=2).names == ["cast: a", "cast: b"]
