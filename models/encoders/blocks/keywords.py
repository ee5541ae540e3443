"""The keywords of an item in its metadata."""

from functools import partial

from models.encoders.tabular import FeatureBlock, columns_of_terms

BLOCK = FeatureBlock(
    "keywords",
    partial(columns_of_terms, columns={"": "keywords"}, least=5, most=128),
    weight=0.3,
    note="Keywords of the metadata.",
)
