"""The series of movies that an item belongs to."""

from models.encoders.tabular import terms_block

BLOCK = terms_block(
    "collection",
    {"": "collection"},
    least=2,
    most=64,
    weight=0.2,
    note="The series a movie belongs to.",
)
