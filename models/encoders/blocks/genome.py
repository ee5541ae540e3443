"""The tag genome: the relevance of every tag for every item, computed by GroupLens from tags, reviews and ratings.

The release publishes it as metadata of its movies, but it was computed from the ratings, tags and reviews of all users,
held-out ones among them, and of all times: item embeddings that use it contain information about held-out users. Weight 0 leaves it out.
"""

from functools import partial

import numpy as np

from models.encoders.columns import ItemColumns
from models.encoders.sums import Counts, Moments, Sums
from models.encoders.tabular import Block, FeatureBlock, Fit, blank_block


def collect(items: ItemColumns) -> Sums:
    """The moments of every tag's relevance over training items that have a genome."""
    if items.genome is None:
        return Sums()
    known = items.genome.known & items.train
    tags = Counts(dict.fromkeys(items.genome.tags, len(known)))
    return Sums(tags=tags, relevance=Moments.of(items.genome.relevance[known].astype(np.float64)))


def finish(sums: Sums, most: int) -> Fit:
    """The `most` tags that vary most; `blank` is their mean."""
    if not sums or not sums["relevance"].count.any():
        return Fit([])
    names, relevance = list(sums["tags"]), sums["relevance"]
    chosen = np.sort(np.argsort(-relevance.variance, kind="stable")[:most])
    return Fit([names[place] for place in chosen], {"blank": relevance.mean[chosen]})


def apply(fit: Fit, items: ItemColumns) -> Block:
    """Relevance of the chosen tags, (I, W); an unknown item is the mean of the training items."""
    block = blank_block(fit, items)
    if items.genome is None:
        return block
    column = {tag: place for place, tag in enumerate(items.genome.tags)}
    known = items.genome.known
    block.values[known] = items.genome.relevance[known][:, [column[name] for name in fit.names]]
    return Block(block.values, known)


BLOCK = FeatureBlock(
    "genome",
    collect,
    partial(finish, most=512),
    apply,
    weight=0.5,
    note="The release's tag genome, computed by GroupLens from the ratings, tags and reviews of all users, held-out "
    "ones among them. For a strict protocol set features.weights.genome=0.",
)
