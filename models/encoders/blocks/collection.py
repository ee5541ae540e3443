"""Which series of films an item belongs to."""

from functools import partial

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, FeatureBlock, multi_hot


def collection_block(items: ItemColumns, least: int, most: int) -> Block:
    """One-hot collection, (I, W)."""
    return multi_hot(items.terms.get("collection"), items.train, least, most)


BLOCK = FeatureBlock(
    "collection", partial(collection_block, least=2, most=64), weight=0.2, note="The series a movie belongs to."
)
