"""Which items a softmax over a large catalogue chooses among: drawn ones, whose chances are known (Jean et al. 2015)."""

import torch
from torch import Tensor

POPULARITY = 0.5  # items are drawn by their training events to this power


class Negatives:
    """Draws for a batch's softmax, by the I items' training events, (I,).

    A catalogue no larger than `most` is used whole, but for items without events.
    """

    def __init__(self, counts: Tensor, most: int) -> None:
        self.most = most
        self.draws = counts.double() ** POPULARITY
        self.share = (counts / counts.sum()).float()

    def with_targets(self, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Items to choose among, ascending, the targets included, and log of how likely each was to be one: (C,), (C,)."""
        count, device = len(self.draws), self.draws.device
        if count <= self.most:
            known = (self.draws > 0).nonzero().squeeze(1)  # what nobody rated would only learn that it is never next
            return known, torch.zeros(len(known), device=device)
        drawn = torch.multinomial(self.draws, self.most, replacement=True, generator=generator)
        chosen = torch.cat((drawn, targets)).unique()
        often = self.draws[chosen] / self.draws.sum() * self.most + self.share[chosen] * len(targets)
        return chosen, torch.log(-torch.expm1(-often)).float()
