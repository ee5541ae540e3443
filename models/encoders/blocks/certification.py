"""The age certificate of an item, such as PG-13 or R."""

from functools import partial

from models.encoders.tabular import FeatureBlock, columns_of_terms

BLOCK = FeatureBlock(
    "certification",
    partial(columns_of_terms, columns={"": "certification"}, least=3, most=16),
    weight=0.2,
    note="Age certificates: PG-13, R …",
)
