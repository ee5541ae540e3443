"""What the metadata's editors call an item."""

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, multi_hot


def keywords_block(items: ItemColumns, least: int, most: int) -> Block:
    """Multi-hot keywords, (I, W)."""
    return multi_hot(items.terms.get("keywords"), items.train, least, most)
