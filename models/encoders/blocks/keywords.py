"""The keywords of an item in its metadata."""

from models.encoders.tabular import terms_block

BLOCK = terms_block(
    "keywords",
    {"": "keywords"},
    least=5,
    most=128,
    weight=0.3,
    note="Keywords of the metadata.",
)
