"""The type of an item (movie, series or episode), its release status, and whether it is for adults."""

from models.encoders.tabular import terms_block

BLOCK = terms_block(
    "kind",
    {"type": "title_type", "status": "status", "adult": "adult"},
    least=2,
    most=8,
    weight=0.1,
    note="Type of title, status of release, adult.",
)
