"""For whom an item is certified: PG-13, R …."""

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, multi_hot


def certification_block(items: ItemColumns, least: int, most: int) -> Block:
    """One-hot certification, (I, W)."""
    return multi_hot(items.terms.get("certification"), items.train, least, most)
