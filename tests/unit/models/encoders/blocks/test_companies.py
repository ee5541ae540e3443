from items_support import built, items_of

from models.encoders.blocks.companies import BLOCK


def test_companies_that_share_a_movie_are_both_there() -> None:
    lists = [["A Pictures", "B Films"], ["A Pictures"], [], ["B Films", "only here"]]
    block = built(BLOCK, items_of([True, True, True, False], {"companies": lists}), least=1, most=8)
    assert block.names == [
        "A Pictures",
        "B Films",
    ]  # the commonest first; what only an item outside training has is unknown
    assert block.values.tolist() == [[1, 1], [1, 0], [0, 0], [0, 1]]
    assert block.known.tolist() == [True, True, False, True]
    assert built(BLOCK, items_of([True]), least=1, most=8).names == []
