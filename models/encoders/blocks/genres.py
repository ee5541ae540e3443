"""Which genres an item has, in MovieLens' words and in the metadata's."""

from functools import partial

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, FeatureBlock, multi_hot, side_by_side


def genres_block(items: ItemColumns, least: int, most: int) -> Block:
    """Multi-hot genres, `most` at most of each source, (I, W)."""
    return side_by_side(
        {
            "genre": multi_hot(items.terms.get("genres"), items.train, least, most),
            "metadata genre": multi_hot(items.terms.get("metadata_genres"), items.train, least, most),
        }
    )


BLOCK = FeatureBlock(
    "genres", partial(genres_block, least=1, most=32), weight=0.5, note="Genres of MovieLens and of the metadata."
)
