"""Which languages an item is in."""

from functools import partial

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, FeatureBlock, multi_hot, side_by_side


def languages_block(items: ItemColumns, least: int, most: int) -> Block:
    """Multi-hot spoken languages and the one-hot original language, `most` at most of each, (I, W)."""
    return side_by_side(
        {
            "spoken": multi_hot(items.terms.get("languages"), items.train, least, most),
            "original": multi_hot(items.terms.get("original_language"), items.train, least, most),
        }
    )


BLOCK = FeatureBlock(
    "languages", partial(languages_block, least=3, most=32), weight=0.2, note="Spoken languages and the original one."
)
