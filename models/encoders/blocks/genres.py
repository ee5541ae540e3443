"""The genres of an item, from MovieLens and from the metadata."""

from functools import partial

from models.encoders.tabular import FeatureBlock, columns_of_terms

BLOCK = FeatureBlock(
    "genres",
    partial(columns_of_terms, columns={"genre": "genres", "metadata genre": "metadata_genres"}, least=1, most=32),
    weight=0.5,
    note="Genres of MovieLens and of the metadata.",
)
