from models.encoders.blocks import BLOCKS
from tasks.features import BlockWeights


def test_every_block_has_a_weight_and_none_is_off() -> None:
    weights = BlockWeights().model_dump()
    assert list(weights) == list(BLOCKS)
    assert [name for name, weight in weights.items() if weight == 0] == []
