from items_support import built, items_of

from models.encoders.blocks.countries import BLOCK


def test_a_movie_of_two_countries_has_both() -> None:
    lists = [["France", "Italy"], ["France"], [], ["Italy", "only here"]]
    block = built(BLOCK, items_of([True, True, True, False], {"countries": lists}), least=1, most=8)
    assert block.names == ["France", "Italy"]  # the commonest first; what only an item outside training has is unknown
    assert block.values.tolist() == [[1, 1], [1, 0], [0, 0], [0, 1]]
    assert block.known.tolist() == [True, True, False, True]
    assert built(BLOCK, items_of([True]), least=1, most=8).names == []
