"""Which companies produced an item."""

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, multi_hot


def companies_block(items: ItemColumns, least: int, most: int) -> Block:
    """Multi-hot companies with several items, (I, W)."""
    return multi_hot(items.terms.get("companies"), items.train, least, most)
