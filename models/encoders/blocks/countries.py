"""The countries in which an item was produced."""

from functools import partial

from models.encoders.tabular import FeatureBlock, columns_of_terms

BLOCK = FeatureBlock(
    "countries",
    partial(columns_of_terms, columns={"": "countries"}, least=3, most=32),
    weight=0.2,
    note="Countries of production.",
)
