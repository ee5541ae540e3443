"""The countries in which an item was produced."""

from models.encoders.tabular import terms_block

BLOCK = terms_block(
    "countries",
    {"": "countries"},
    least=3,
    most=32,
    weight=0.2,
    note="Countries of production.",
)
