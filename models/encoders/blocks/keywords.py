"""What the metadata's editors call an item."""

from functools import partial

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, FeatureBlock, multi_hot


def keywords_block(items: ItemColumns, least: int, most: int) -> Block:
    """Multi-hot keywords, (I, W)."""
    return multi_hot(items.terms.get("keywords"), items.train, least, most)


BLOCK = FeatureBlock(
    "keywords", partial(keywords_block, least=5, most=128), weight=0.3, note="Keywords of the metadata."
)
