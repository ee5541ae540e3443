"""A penalty on policies that recommend the same items to all users; the article proposes both, RecNN has neither."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

DiversityMeasure = Literal["cosine", "euclidean"]


def likeness(actions: Tensor, measure: DiversityMeasure) -> Tensor:
    """Similarity of actions (B, D), 0-d: the mean pairwise cosine, or the negative mean pairwise distance."""
    rows = len(actions)
    if rows < 2:
        return actions.new_zeros(())
    if measure == "euclidean":
        return -torch.pdist(actions).mean()
    # Σ_{i≠j} u_i·u_j = |Σ_i u_i|² - Σ_i |u_i|²: no (B, B) matrix
    unit = normalize(actions, dim=1)
    return (unit.sum(0).square().sum() - unit.square().sum()) / (rows * (rows - 1))
