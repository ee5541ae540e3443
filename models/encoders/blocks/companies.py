"""Which companies produced an item."""

from functools import partial

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, FeatureBlock, multi_hot


def companies_block(items: ItemColumns, least: int, most: int) -> Block:
    """Multi-hot companies with several items, (I, W)."""
    return multi_hot(items.terms.get("companies"), items.train, least, most)


BLOCK = FeatureBlock(
    "companies", partial(companies_block, least=5, most=64), weight=0.2, note="Companies with several movies."
)
