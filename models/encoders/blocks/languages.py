"""The spoken languages of an item and its original language."""

from functools import partial

from models.encoders.tabular import FeatureBlock, columns_of_terms

BLOCK = FeatureBlock(
    "languages",
    partial(columns_of_terms, columns={"spoken": "languages", "original": "original_language"}, least=3, most=32),
    weight=0.2,
    note="Spoken languages and the original one.",
)
