"""The tags that users gave an item."""

from functools import partial

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer

from models.encoders.columns import ItemColumns
from models.encoders.sums import Sums
from models.encoders.tabular import (
    Block,
    FeatureBlock,
    Fit,
    blank_block,
    inverse_frequency,
    item_frequency,
    most_frequent,
    place_of_terms,
    with_values,
)


def collect(items: ItemColumns) -> Sums:
    """The number of training items, and of those with each tag."""
    if "tags" not in items.terms:
        return Sums()
    return Sums(items=int(items.train.sum()), frequency=item_frequency(items.terms["tags"], items.train))


def finish(sums: Sums, least: int, most: int) -> Fit:
    """The tags of the most training items, and their idf."""
    if not sums:
        return Fit([])
    names = most_frequent(sums["frequency"], least, most)
    return Fit(names, {"idf": inverse_frequency(sums["items"], [sums["frequency"][name] for name in names])})


def apply(fit: Fit, items: ItemColumns) -> Block:
    """TF-IDF of the tags that training sees, (I, W), rows of length 1.

    A tag's frequency in an item is the number of users who gave it.
    """
    if "tags" not in items.terms:
        return blank_block(fit, items)
    terms = items.terms["tags"]
    place = place_of_terms(terms, fit.names)
    kept = place >= 0
    ones = np.ones(int(kept.sum()), np.float32)
    counts = csr_matrix((ones, (terms.item[kept], place[kept])), shape=(len(items.train), len(fit.names)))
    weighting = TfidfTransformer(sublinear_tf=True)
    weighting.idf_ = fit.arrays["idf"].astype(np.float32)
    return with_values(weighting.transform(counts).toarray().astype(np.float32))


BLOCK = FeatureBlock(
    "tags", collect, partial(finish, least=3, most=256), apply, weight=0.2, note="TF-IDF of training users' tags."
)
