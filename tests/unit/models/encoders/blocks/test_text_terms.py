import numpy as np
from items_support import built, items_of

from models.encoders.blocks.text_terms import BLOCK

TEXTS = ["A submarine and a captain", "the captain of a ship", "a ship, a ship!", "submarine unicorn", ""]


def test_rare_words_weigh_more_and_common_ones_are_no_terms() -> None:
    block = built(BLOCK, items_of([True, True, True, False, True], texts=TEXTS), least=1, most=50)
    assert block.names == ["captain", "ship", "submarine"]  # neither stop words nor the held-out unicorn
    captain, _, submarine = block.values[0]
    assert submarine > captain > 0  # one training text has a submarine, two a captain
    np.testing.assert_allclose(np.linalg.norm(block.values, axis=1), [1, 1, 1, 1, 0], atol=1e-6)
    assert block.known.tolist() == [True, True, True, True, False]


def test_the_commonest_words_stay() -> None:
    assert built(BLOCK, items_of([True] * 5, texts=TEXTS), least=2, most=1).names == ["ship"]


def test_no_words_at_all() -> None:
    assert built(BLOCK, items_of([True, True], texts=["", "the of"]), least=1, most=5).names == []
    assert built(BLOCK, items_of([True, True]), least=1, most=5).names == []
