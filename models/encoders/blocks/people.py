"""The actors, directors and writers of an item."""

from functools import partial

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, FeatureBlock, as_one_block, multi_hot, term_rows

COLUMNS = {"cast": "cast", "director": "directors", "writer": "writers"}


def people_block(items: ItemColumns, least: int, most: int) -> Block:
    """Multi-hot actors, directors and writers of several items, (I, W).

    The `most` actors with the most items, and half as many directors and writers. Names are not hashed: each column is
    one person.
    """
    wanted = {"cast": most, "director": most // 2, "writer": most // 2}
    return as_one_block(
        {
            prefix: multi_hot(items.terms.get(name), items.train, least, wanted[prefix])
            for prefix, name in COLUMNS.items()
        }
    )


BLOCK = FeatureBlock(
    "people",
    partial(people_block, least=3, most=128),
    partial(term_rows, columns=COLUMNS),
    weight=0.3,
    note="Actors, directors and writers of several movies.",
)
