"""The series of films that an item belongs to."""

from functools import partial

from models.encoders.tabular import FeatureBlock, columns_of_terms

BLOCK = FeatureBlock(
    "collection",
    partial(columns_of_terms, columns={"": "collection"}, least=2, most=64),
    weight=0.2,
    note="The series a movie belongs to.",
)
