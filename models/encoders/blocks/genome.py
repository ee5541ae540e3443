"""The tag genome: the relevance of every tag for every item, computed by GroupLens from tags, reviews and ratings.

The release publishes it as metadata of its movies, but it was computed from the ratings, tags and reviews of all users,
held-out ones among them, and of all times: item embeddings that use it contain information about held-out users. Weight 0 leaves it out.
"""

from functools import partial

import numpy as np

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, FeatureBlock, blank_rows, empty_block


def genome_block(items: ItemColumns, most: int) -> Block:
    """Relevance of the `most` tags that vary most among training items, (I, W); an unknown item is their mean."""
    if items.genome is None:
        return empty_block(len(items.train))
    relevance, known = items.genome.relevance, items.genome.known
    fit = relevance[known & items.train]
    if not len(fit):
        return empty_block(len(items.train))
    chosen = np.sort(np.argsort(-fit.var(axis=0, dtype=np.float64), kind="stable")[:most])
    values = relevance[:, chosen].astype(np.float32)
    blank = fit[:, chosen].mean(axis=0, dtype=np.float64)
    values[~known] = blank
    return Block(values, [items.genome.tags[place] for place in chosen], known, {"blank": blank})


BLOCK = FeatureBlock(
    "genome",
    partial(genome_block, most=512),
    blank_rows,
    weight=0.5,
    note="The release's tag genome, computed by GroupLens from the ratings, tags and reviews of all users, held-out "
    "ones among them. For a strict protocol set features.weights.genome=0.",
)
