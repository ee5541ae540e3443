import numpy as np
from items_support import built, items_of

from models.encoders.blocks.text import BLOCK


def test_the_encoder_has_the_last_word() -> None:
    vectors = np.array([[0.6, 0.8], [0, 0]], dtype=np.float32)
    block = built(BLOCK, items_of([True, True], text_vectors=vectors))
    np.testing.assert_array_equal(block.values, vectors)
    assert block.known.tolist() == [True, False]
    assert len(block.names) == 2
