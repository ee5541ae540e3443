"""Sampled softmax: the items that a batch's softmax is computed over, and their probabilities (Jean et al. 2015)."""

import torch
from torch import Tensor

POPULARITY_POWER = 0.5  # items are sampled in proportion to their training events to this power


class Negatives:
    """Samples items for a batch's softmax by their training events, counts (I,).

    A catalogue of at most `most` items is used whole. Items without training events are not used as negatives.
    """

    def __init__(self, counts: Tensor, most: int) -> None:
        self.most = most
        self.draws = counts.double() ** POPULARITY_POWER
        self.share = (counts / counts.sum()).float()

    def with_targets(self, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Sample items, the targets (N,) included.

        Returns:
            the items, ascending, (C,) int64, and the log-probability that each was among them, (C,); None if all are.
        """
        if len(self.draws) <= self.most:
            return (self.draws > 0).nonzero().squeeze(1), None  # the loss would only push the others down
        drawn = torch.multinomial(self.draws, self.most, replacement=True, generator=generator)
        chosen = torch.cat((drawn, targets)).unique()
        often = self.draws[chosen] / self.draws.sum() * self.most + self.share[chosen] * len(targets)
        return chosen, torch.log(-torch.expm1(-often)).float()


def corrected(scores: Tensor, target: Tensor, log_chance: Tensor | None) -> Tensor:
    """Logits over sampled items whose softmax stands for that over the catalogue, (N, C).

    Args:
        scores: of the sampled items, (N, C).
        target: each row's own place among them, (N,) int64, where it is always.
        log_chance: the log-probability that each was sampled, (C,); None: all items are there.
    """
    if log_chance is None:
        return scores
    own, log_chance = torch.arange(len(target), device=target.device), log_chance.to(scores.dtype)
    return (scores - log_chance).index_put_((own, target), log_chance[target], accumulate=True)
