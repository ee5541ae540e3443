"""The genres of an item, from MovieLens and from the metadata."""

from models.encoders.tabular import terms_block

BLOCK = terms_block(
    "genres",
    {"genre": "genres", "metadata genre": "metadata_genres"},
    least=1,
    most=32,
    weight=0.5,
    note="Genres of MovieLens and of the metadata.",
)
