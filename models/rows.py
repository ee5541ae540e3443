"""Which row of a matrix over some items is an item's."""

import torch
from torch import Tensor


def rows_of_items(items: Tensor, catalogue: int) -> Tensor:
    """Of each of the I items of a catalogue its place among `items` (M,), or -1: (I,) int64."""
    row = torch.full((catalogue,), -1, device=items.device)
    row[items] = torch.arange(len(items), device=items.device)
    return row
