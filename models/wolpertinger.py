"""Re-ranking of the best items by a second score: Wolpertinger (Dulac-Arnold et al. 2015, §4), and a weighted form of it."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from models.nearest import highest, without


class Best(NamedTuple):
    """The best C items of each row: scores (B, C), highest first, items (B, C) int64; unseen (B, C) bool is false if too few are."""

    scores: Tensor
    items: Tensor
    unseen: Tensor


def best_unseen(scores: Tensor, seen: Tensor, count: int) -> Best:
    """The `count` items with the highest scores (B, I) that are not among the seen ones, (B, L), which are padded with -1."""
    values, items = highest(without(scores, seen), min(count, scores.shape[1]))
    return Best(scores.gather(1, items), items, values > -torch.inf)


def re_ranked(
    scores: Tensor, seen: Tensor, candidates: int, values: Callable[[Tensor], Tensor], weight: float = math.inf
) -> Tensor:
    """Re-rank the best unseen items of each row by standardised score + weight · standardised value.

    Seen items keep their scores and are not counted as candidates. Where all scores are equal the value alone decides.

    Args:
        scores: (B, I) float32, higher is better.
        seen: (B, L) int64, padded with -1.
        candidates: how many best items are re-ranked; 0: none.
        values: the critic's values, or another score, (B, C), of items (B, C).
        weight: of the standardised value against the standardised score; 0: no item is re-ranked; ∞: by value alone.

    Returns:
        scores (B, I), changed for the candidates only.
    """
    if weight == 0 or candidates == 0:
        return scores
    best = best_unseen(scores, seen, candidates)
    mixed = standardised(values(best.items), best.unseen)
    if math.isfinite(weight):
        mixed = standardised(best.scores, best.unseen) + weight * mixed
    # Above the lowest candidate's score, so that no other item comes between.
    lowest, least = (part.where(best.unseen, torch.inf).amin(1, keepdim=True) for part in (best.scores, mixed))
    mixed = (lowest + (mixed - least)).where(best.unseen, best.scores)
    return scores.scatter(1, best.items, mixed)


def standardised(values: Tensor, counted: Tensor) -> Tensor:
    """Standardise each row of values (B, C) over the entries that are `counted`; the others are 0."""
    number = counted.sum(1, keepdim=True)
    values = values.where(counted, 0)
    deviations = (values - values.sum(1, keepdim=True) / number.clamp_min(1)) * counted
    return deviations / (deviations.square().sum(1, keepdim=True) / (number - 1).clamp_min(1)).sqrt().clamp_min(1e-6)
