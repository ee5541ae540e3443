"""The spoken languages of an item and its original language."""

from models.encoders.tabular import terms_block

BLOCK = terms_block(
    "languages",
    {"spoken": "languages", "original": "original_language"},
    least=3,
    most=32,
    weight=0.2,
    note="Spoken languages and the original one.",
)
