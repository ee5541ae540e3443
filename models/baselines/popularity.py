"""Recommend what most people rated."""

from torch import Tensor

from models.histories import Histories


class Popularity:
    """Scores every item by how often it was rated in training, whoever asks."""

    def __init__(self, counts: Tensor) -> None:
        self.counts = counts.float()

    def scores(self, histories: Histories) -> Tensor:
        """The counts, once for each history: (B, I)."""
        return self.counts.expand(len(histories.items), -1)
