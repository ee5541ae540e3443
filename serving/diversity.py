"""Maximal marginal relevance (Carbonell & Goldstein 1998): items that score well and differ from those before them."""

import torch
from torch import Tensor

CANDIDATES_PER_ITEM = 10  # the k items are chosen among this many times k of the best


def diversified(scores: Tensor, vectors: Tensor, k: int, diversity: float) -> Tensor:
    """Choose k of C candidates one after another, each by (1 - λ) score - λ max cosine to those chosen before.

    Scores are scaled to 0 … 1 first. Costs k products of the candidates with one vector.

    Args:
        scores: (C,) float32, descending.
        vectors: (C, D) of length 1.
        k: at most C.
        diversity: λ, 0 … 1.

    Returns:
        the places of the chosen candidates, (k,) int64, in the order of the choice.
    """
    span = (scores[0] - scores[-1]).clamp_min(1e-12)
    relevance = (1 - diversity) * (scores - scores[-1]) / span
    nearest = torch.full_like(scores, -1.0)
    free = torch.ones_like(scores, dtype=torch.bool)
    chosen = []
    for step in range(k):
        gain = relevance - diversity * nearest if step else scores
        place = int(gain.masked_fill(~free, -torch.inf).argmax())
        chosen.append(place)
        free[place] = False
        nearest = torch.maximum(nearest, vectors @ vectors[place])
    return torch.tensor(chosen, dtype=torch.int64)
