import pkgutil

import pytest
from pydantic import ValidationError

import models.encoders.blocks
from models.encoders.blocks import BLOCKS
from tasks.features import BlockWeights


def test_every_file_of_a_block_is_registered() -> None:
    files = {found.name for found in pkgutil.iter_modules(models.encoders.blocks.__path__)}
    assert files == set(BLOCKS)


def test_every_block_is_on_by_default_and_can_be_left_out() -> None:
    weights = BlockWeights().model_dump()
    assert weights == {name: block.weight for name, block in BLOCKS.items()}
    assert min(weights.values()) > 0
    assert BlockWeights(genome=0).model_dump() == weights | {"genome": 0}


@pytest.mark.parametrize("wrong", [{"genome": -1}, {"text": 101}, {"nothing": 1}])
def test_other_weights_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        BlockWeights.model_validate(wrong)
