"""The age certificate of an item, such as PG-13 or R."""

from models.encoders.tabular import terms_block

BLOCK = terms_block(
    "certification",
    {"": "certification"},
    least=3,
    most=16,
    weight=0.2,
    note="Age certificates: PG-13, R …",
)
