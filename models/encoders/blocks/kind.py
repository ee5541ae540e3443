"""What sort of title an item is: film, series or episode; released or not; for adults."""

from functools import partial

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, FeatureBlock, multi_hot, side_by_side


def kind_block(items: ItemColumns, least: int, most: int) -> Block:
    """One-hot title type, status and adult flag, (I, W)."""
    return side_by_side(
        {
            "type": multi_hot(items.terms.get("title_type"), items.train, least, most),
            "status": multi_hot(items.terms.get("status"), items.train, least, most),
            "adult": multi_hot(items.terms.get("adult"), items.train, least, most),
        }
    )


BLOCK = FeatureBlock(
    "kind", partial(kind_block, least=2, most=8), weight=0.1, note="Type of title, status of release, adult."
)
