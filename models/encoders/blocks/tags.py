"""The tags that users gave an item."""

from functools import partial

import numpy as np
from sklearn.feature_extraction.text import TfidfTransformer

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, FeatureBlock, blank_rows, empty_block, frequent_terms, not_all_zero


def tags_block(items: ItemColumns, least: int, most: int) -> Block:
    """TF-IDF of the tags that training sees, (I, W), rows of length 1.

    A tag's frequency in an item is the number of users who gave it.
    """
    if "tags" not in items.terms:
        return empty_block(len(items.train))
    counts, names = frequent_terms(items.terms["tags"], items.train, least, most)
    if not names:
        return empty_block(len(items.train))
    weighted = TfidfTransformer(sublinear_tf=True).fit(counts[items.train]).transform(counts)
    values = weighted.toarray().astype(np.float32)
    return Block(values, names, not_all_zero(values))


BLOCK = FeatureBlock(
    "tags", partial(tags_block, least=3, most=256), blank_rows, weight=0.2, note="TF-IDF of training users' tags."
)
