"""The actors, directors and writers of an item."""

from functools import partial

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, FeatureBlock, multi_hot, side_by_side


def people_block(items: ItemColumns, least: int, most: int) -> Block:
    """Multi-hot actors, directors and writers of several items, (I, W).

    The `most` actors with the most items, and half as many directors and writers. Names are not hashed: each column is
    one person.
    """
    return side_by_side(
        {
            "cast": multi_hot(items.terms.get("cast"), items.train, least, most),
            "director": multi_hot(items.terms.get("directors"), items.train, least, most // 2),
            "writer": multi_hot(items.terms.get("writers"), items.train, least, most // 2),
        }
    )


BLOCK = FeatureBlock(
    "people",
    partial(people_block, least=3, most=128),
    weight=0.3,
    note="Actors, directors and writers of several movies.",
)
