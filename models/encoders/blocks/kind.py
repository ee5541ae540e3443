"""The type of an item (film, series or episode), its release status, and whether it is for adults."""

from functools import partial

from models.encoders.tabular import FeatureBlock, columns_of_terms

BLOCK = FeatureBlock(
    "kind",
    partial(columns_of_terms, columns={"type": "title_type", "status": "status", "adult": "adult"}, least=2, most=8),
    weight=0.1,
    note="Type of title, status of release, adult.",
)
