import numpy as np
from items_support import built, items_of

from models.encoders.blocks import genome
from models.encoders.blocks.genome import BLOCK
from models.encoders.columns import Genome

RELEVANCE = np.array([[0.5, 0.1, 0.9], [0.5, 0.9, 0.7], [0, 0, 0], [0.9, 0.5, 0.5]], dtype=np.float32)
GENOME = Genome(RELEVANCE, np.array([True, True, False, True]), ["dull", "dark", "funny"])


def test_the_tags_that_vary_stay_and_unknown_items_are_average() -> None:
    block = built(BLOCK, items_of([True, True, True, False], genome=GENOME), most=2)
    assert block.names == ["dark", "funny"]  # "dull" varies only with an item outside training
    np.testing.assert_allclose(block.values[2], [0.5, 0.8], atol=1e-6)
    assert block.known.tolist() == [True, True, False, True]


def test_a_release_without_genome_and_a_word_of_warning() -> None:
    assert built(BLOCK, items_of([True]), most=2).names == []
    assert "all users" in str(genome.__doc__)
