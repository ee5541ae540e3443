"""The feature blocks that item embeddings are made of: one file each, registered here in the order of their columns.

To add a block, write a file with a `BLOCK` and add it to the import and to `_MODULES`. The parameter `features.weights`, the
feature report and the reduction read the registry.
"""

from models.encoders.blocks import (
    certification,
    collaborative,
    collection,
    companies,
    countries,
    genome,
    genres,
    keywords,
    kind,
    languages,
    numbers,
    people,
    ratings,
    tags,
    text,
    text_terms,
)
from models.encoders.tabular import FeatureBlock

_MODULES = (
    text, text_terms, tags, genome, genres, countries, languages, companies, collection, people, certification, numbers,
    kind, keywords, ratings, collaborative,
)  # fmt: skip

BLOCKS: dict[str, FeatureBlock] = {module.BLOCK.name: module.BLOCK for module in _MODULES}
