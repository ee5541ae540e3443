from items_support import built, items_of

from models.encoders.blocks.languages import BLOCK


def test_spoken_languages_are_many_and_the_original_is_one() -> None:
    items = items_of([True, True], {"languages": [["English", "French"], []], "original_language": [["fr"], ["en"]]})
    block = built(BLOCK, items, least=1, most=8)
    assert block.names == ["spoken: English", "spoken: French", "original: en", "original: fr"]
    assert block.values.tolist() == [[1, 1, 0, 1], [0, 0, 1, 0]]
