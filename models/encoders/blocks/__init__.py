"""The blocks an item embedding is made of: one file each, declared here.

A block is a pure function of `ItemColumns` that gives a `Block`: float32 values (I, W), the names of the columns, and
of which items it knows anything. `least` is the number of training items that a term needs, `most` the number of terms.
"""

from collections.abc import Callable
from functools import partial

from models.encoders.blocks.certification import certification_block
from models.encoders.blocks.collaborative import collaborative_block
from models.encoders.blocks.collection import collection_block
from models.encoders.blocks.companies import companies_block
from models.encoders.blocks.countries import countries_block
from models.encoders.blocks.genome import genome_block
from models.encoders.blocks.genres import genres_block
from models.encoders.blocks.keywords import keywords_block
from models.encoders.blocks.kind import kind_block
from models.encoders.blocks.languages import languages_block
from models.encoders.blocks.numbers import numbers_block
from models.encoders.blocks.people import people_block
from models.encoders.blocks.ratings import ratings_block
from models.encoders.blocks.tags import tags_block
from models.encoders.blocks.text import text_block
from models.encoders.blocks.text_terms import text_terms_block
from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block

BLOCKS: dict[str, Callable[[ItemColumns], Block]] = {
    "text": text_block,
    "text_terms": partial(text_terms_block, least=5, most=256),
    "tags": partial(tags_block, least=3, most=256),
    "genome": partial(genome_block, most=512),
    "genres": partial(genres_block, least=1, most=32),
    "countries": partial(countries_block, least=3, most=32),
    "languages": partial(languages_block, least=3, most=32),
    "companies": partial(companies_block, least=5, most=64),
    "collection": partial(collection_block, least=2, most=64),
    "people": partial(people_block, least=3, most=128),
    "certification": partial(certification_block, least=3, most=16),
    "numbers": numbers_block,
    "kind": partial(kind_block, least=2, most=8),
    "keywords": partial(keywords_block, least=5, most=128),
    "ratings": ratings_block,
    "collaborative": partial(collaborative_block, most=64),
}
