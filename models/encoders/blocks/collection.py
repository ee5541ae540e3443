"""Which series of films an item belongs to."""

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, multi_hot


def collection_block(items: ItemColumns, least: int, most: int) -> Block:
    """One-hot collection, (I, W)."""
    return multi_hot(items.terms.get("collection"), items.train, least, most)
