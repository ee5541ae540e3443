"""The vector of an item's text by a BERT-family encoder."""

import numpy as np

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, FeatureBlock, Fit, Floats, not_all_zero


def text_block(items: ItemColumns) -> Block:
    """The encoder's vectors as they are, (I, E); an empty text is zeros."""
    width = items.text_vectors.shape[1]
    return Block(
        items.text_vectors.astype(np.float32, copy=False),
        [f"dimension {place}" for place in range(width)],
        not_all_zero(items.text_vectors),
    )


def text_rows(_fit: Fit, items: ItemColumns) -> Floats:
    """The encoder's vectors of further items, (I, E)."""
    return items.text_vectors


BLOCK = FeatureBlock("text", text_block, text_rows, weight=1.0, note="Vectors of the text encoder.", named=False)
