"""For whom an item is certified: PG-13, R …."""

from functools import partial

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, FeatureBlock, multi_hot


def certification_block(items: ItemColumns, least: int, most: int) -> Block:
    """One-hot certification, (I, W)."""
    return multi_hot(items.terms.get("certification"), items.train, least, most)


BLOCK = FeatureBlock(
    "certification", partial(certification_block, least=3, most=16), weight=0.2, note="Age certificates: PG-13, R …"
)
