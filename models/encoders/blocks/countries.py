"""Which countries produced an item."""

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, multi_hot


def countries_block(items: ItemColumns, least: int, most: int) -> Block:
    """Multi-hot countries of production, (I, W)."""
    return multi_hot(items.terms.get("countries"), items.train, least, most)
