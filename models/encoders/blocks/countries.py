"""Which countries produced an item."""

from functools import partial

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, FeatureBlock, multi_hot


def countries_block(items: ItemColumns, least: int, most: int) -> Block:
    """Multi-hot countries of production, (I, W)."""
    return multi_hot(items.terms.get("countries"), items.train, least, most)


BLOCK = FeatureBlock(
    "countries", partial(countries_block, least=3, most=32), weight=0.2, note="Countries of production."
)
