"""The companies that produced an item."""

from models.encoders.tabular import terms_block

BLOCK = terms_block(
    "companies",
    {"": "companies"},
    least=5,
    most=64,
    weight=0.2,
    note="Companies with several movies.",
)
