"""Rows of items in a matrix over some of the catalogue's items."""

import torch
from torch import Tensor


def rows_of_items(items: Tensor, catalogue: int) -> Tensor:
    """The place of each of the I items of a catalogue in `items` (M,), or -1: (I,) int64."""
    row = torch.full((catalogue,), -1, device=items.device)
    row[items] = torch.arange(len(items), device=items.device)
    return row
