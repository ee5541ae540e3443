"""The companies that produced an item."""

from functools import partial

from models.encoders.tabular import FeatureBlock, columns_of_terms

BLOCK = FeatureBlock(
    "companies",
    partial(columns_of_terms, columns={"": "companies"}, least=5, most=64),
    weight=0.2,
    note="Companies with several movies.",
)
