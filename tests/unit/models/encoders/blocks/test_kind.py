from items_support import built, items_of

from models.encoders.blocks.kind import BLOCK


def test_type_status_and_adult_are_told_apart() -> None:
    terms = {"title_type": [["movie"], ["short"]], "status": [["Released"], []], "adult": [["false"], ["true"]]}
    block = built(BLOCK, items_of([True, True], terms), least=1, most=8)
    assert block.names == ["type: movie", "type: short", "status: Released", "adult: false", "adult: true"]
    assert block.values.tolist() == [[1, 0, 1, 1, 0], [0, 1, 0, 0, 1]]
