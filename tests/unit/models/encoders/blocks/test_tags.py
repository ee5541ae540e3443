import numpy as np
from items_support import built, items_of

from models.encoders.blocks.tags import BLOCK


def test_tags_given_by_many_and_shared_by_few_weigh_most() -> None:
    tags = [["noir", "noir", "noir", "classic"], ["classic"], ["classic", "boring"]]
    block = built(BLOCK, items_of([True] * 3, {"tags": tags}), least=1, most=8)
    assert block.names == ["classic", "boring", "noir"]
    classic, boring, noir = block.values[0]
    assert noir > classic > 0 == boring
    np.testing.assert_allclose(np.linalg.norm(block.values, axis=1), 1, atol=1e-6)


def test_words_come_from_training_items() -> None:
    block = built(BLOCK, items_of([True, True, False], {"tags": [["a"], ["a", "b"], ["c"]]}), least=2, most=8)
    assert block.names == ["a"]
    assert block.known.tolist() == [True, True, False]


def test_a_release_without_tags() -> None:
    assert built(BLOCK, items_of([True]), least=1, most=8).names == []
    assert built(BLOCK, items_of([True], {"tags": [["a"]]}), least=2, most=8).names == []
