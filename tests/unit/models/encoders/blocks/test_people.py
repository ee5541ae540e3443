from items_support import items_of

from models.encoders.blocks.people import people_block


def test_a_person_has_a_column_for_each_trade() -> None:
    eastwood = [["Clint Eastwood"], ["Clint Eastwood"], []]
    items = items_of([True] * 3, {"cast": eastwood, "directors": eastwood, "writers": [["A"], ["B"], ["C"]]})
    block = people_block(items, least=2, most=8)
    assert block.names == ["cast: Clint Eastwood", "director: Clint Eastwood"]
    assert block.values.tolist() == [[1, 1], [1, 1], [0, 0]]
    assert block.known.tolist() == [True, True, False]


def test_the_busiest_stay() -> None:
    cast = [["a", "b", "c"], ["a", "b"], ["a"]]
    assert people_block(items_of([True] * 3, {"cast": cast}), least=1, most=2).names == ["cast: a", "cast: b"]
