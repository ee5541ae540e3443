"""The critic's say among the best items: Wolpertinger (Dulac-Arnold et al. 2015, §4), and a milder form of it."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def re_ranked(
    scores: Tensor, seen: Tensor, candidates: int, values: Callable[[Tensor], Tensor], mix: float = math.inf
) -> Tensor:
    """Scores (B, I) with the best items of each row in another order, by score + mix · standardised value; ∞: by value alone.

    The items are not among what a user has seen: that keeps its scores, and takes no place from what can be recommended.

    Args:
        scores: (B, I) float32, higher is better.
        seen: (B, L) int64, -1 where nothing is.
        candidates: how many best items the critic has a say on.
        values: the critic's values (B, C) of items (B, C).
        mix: weight of a value's deviations from its row's mean.
    """
    size = scores.shape[1]
    known = torch.zeros((len(scores), size + 1), dtype=torch.bool, device=scores.device)
    known.scatter_(1, seen.where(seen >= 0, size), True)
    best = scores.masked_fill(known[:, :-1], -torch.inf).topk(min(candidates, size), dim=1)
    fresh = best.values > -torch.inf  # fewer than wanted where nearly all is seen
    value = values(best.indices)
    number = fresh.sum(1, keepdim=True)
    value = (value - (value * fresh).sum(1, keepdim=True) / number.clamp_min(1)) * fresh
    value /= (value.square().sum(1, keepdim=True) / (number - 1).clamp_min(1)).sqrt().clamp_min(1e-6)
    mixed = value if math.isinf(mix) else best.values + mix * value
    # Added above the lowest candidate, so that nothing from below comes between.
    lowest, least = (part.where(fresh, torch.inf).amin(1, keepdim=True) for part in (best.values, mixed))
    mixed = (lowest + (mixed - least)).where(fresh, scores.gather(1, best.indices))
    return scores.scatter(1, best.indices, mixed)
