"""The critic's say among the best items: Wolpertinger (Dulac-Arnold et al. 2015, §4), and a milder form of it."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def re_ranked(
    scores: Tensor, seen: Tensor, candidates: int, values: Callable[[Tensor], Tensor], mix: float = math.inf
) -> Tensor:
    """Scores (B, I) with the best items of each row in another order, by standardised score + mix · standardised value.

    The items are not among what a user has seen: that keeps its scores, and takes no place from what can be recommended.
    Of scores all alike the value alone decides.

    Args:
        scores: (B, I) float32, higher is better.
        seen: (B, L) int64, -1 where nothing is.
        candidates: how many best items the critic has a say on.
        values: the critic's values (B, C) of items (B, C).
        mix: weight of a value's deviations from its row's mean beside a score's; ∞: by value alone.
    """
    size = scores.shape[1]
    known = torch.zeros((len(scores), size + 1), dtype=torch.bool, device=scores.device)
    known.scatter_(1, seen.where(seen >= 0, size), True)
    best = scores.masked_fill(known[:, :-1], -torch.inf).topk(min(candidates, size), dim=1)
    fresh = best.values > -torch.inf  # fewer than wanted where nearly all is seen
    mixed = standardised(values(best.indices), fresh)
    if math.isfinite(mix):
        mixed = standardised(best.values, fresh) + mix * mixed
    # Added above the lowest candidate, so that nothing from below comes between.
    lowest, least = (part.where(fresh, torch.inf).amin(1, keepdim=True) for part in (best.values, mixed))
    mixed = (lowest + (mixed - least)).where(fresh, scores.gather(1, best.indices))
    return scores.scatter(1, best.indices, mixed)


def standardised(values: Tensor, counted: Tensor) -> Tensor:
    """Each row's deviations from its mean in units of their standard deviation, (B, C), of those that are counted; others 0."""
    number = counted.sum(1, keepdim=True)
    values = values.where(counted, 0)
    deviations = (values - values.sum(1, keepdim=True) / number.clamp_min(1)) * counted
    return deviations / (deviations.square().sum(1, keepdim=True) / (number - 1).clamp_min(1)).sqrt().clamp_min(1e-6)
