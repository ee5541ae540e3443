"""Re-ranking of the best items by critics: Wolpertinger (Dulac-Arnold et al. 2015, §4), and a weighted form of it."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def re_ranked(
    scores: Tensor, seen: Tensor, candidates: int, values: Callable[[Tensor], Tensor], weight: float = math.inf
) -> Tensor:
    """Re-rank the best unseen items of each row by standardised score + weight · standardised value.

    Seen items keep their scores and are not counted as candidates. Where all scores are equal the value alone decides.

    Args:
        scores: (B, I) float32, higher is better.
        seen: (B, L) int64, padded with -1.
        candidates: how many best items are re-ranked.
        values: the critic's values (B, C) of items (B, C).
        weight: of the standardised value against the standardised score; ∞: by value alone.

    Returns:
        scores (B, I), changed for the candidates only.
    """
    size = scores.shape[1]
    known = torch.zeros((len(scores), size + 1), dtype=torch.bool, device=scores.device)
    known.scatter_(1, seen.where(seen >= 0, size), True)
    best = scores.masked_fill(known[:, :-1], -torch.inf).topk(min(candidates, size), dim=1)
    fresh = best.values > -torch.inf  # fewer candidates if nearly all items are seen
    mixed = standardised(values(best.indices), fresh)
    if math.isfinite(weight):
        mixed = standardised(best.values, fresh) + weight * mixed
    # Above the lowest candidate's score, so that no other item comes between.
    lowest, least = (part.where(fresh, torch.inf).amin(1, keepdim=True) for part in (best.values, mixed))
    mixed = (lowest + (mixed - least)).where(fresh, scores.gather(1, best.indices))
    return scores.scatter(1, best.indices, mixed)


def standardised(values: Tensor, counted: Tensor) -> Tensor:
    """Standardise each row of values (B, C) over the entries that are `counted`; the others are 0."""
    number = counted.sum(1, keepdim=True)
    values = values.where(counted, 0)
    deviations = (values - values.sum(1, keepdim=True) / number.clamp_min(1)) * counted
    return deviations / (deviations.square().sum(1, keepdim=True) / (number - 1).clamp_min(1)).sqrt().clamp_min(1e-6)
