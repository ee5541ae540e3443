"""The vector of an item's text by a BERT-family encoder."""

import numpy as np

from models.encoders.columns import ItemColumns
from models.encoders.sums import Counts, Sums
from models.encoders.tabular import Block, FeatureBlock, Fit, with_values


def collect(items: ItemColumns) -> Sums:
    """The names of the encoder's dimensions."""
    names = [f"dimension {place}" for place in range(items.text_vectors.shape[1])]
    return Sums(names=Counts(dict.fromkeys(names, len(items.train))))


def finish(sums: Sums) -> Fit:
    """One column for each dimension."""
    return Fit(list(sums["names"]))


def apply(_fit: Fit, items: ItemColumns) -> Block:
    """The encoder's vectors as they are, (I, E); an empty text is zeros."""
    return with_values(items.text_vectors.astype(np.float32, copy=False))


BLOCK = FeatureBlock("text", collect, finish, apply, weight=1.0, note="Vectors of the text encoder.", named=False)
