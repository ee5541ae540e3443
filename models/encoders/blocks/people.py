"""The actors, directors and writers of several items: names are not hashed, each column is one person."""

from models.encoders.tabular import terms_block

BLOCK = terms_block(
    "people",
    {"cast": "cast", "director": "directors", "writer": "writers"},
    least=3,
    most={"cast": 128, "director": 64, "writer": 64},
    weight=0.3,
    note="Actors, directors and writers of several movies.",
)
