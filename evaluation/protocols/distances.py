"""Ranking of items by their distance to an action, for each of the eight distances that the article compares."""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from models.histories import Histories

Distance = Literal[
    "euclidean", "cosine", "correlation", "canberra", "minkowski", "chebyshev", "bray-curtis", "manhattan"
]
DISTANCES: tuple[Distance, ...] = get_args(Distance)
MINKOWSKI_P = 3  # p = 1, 2 and ∞ are manhattan, euclidean and chebyshev
BLOCK = 32  # rows of each side at a time, so that their differences fit the processor cache


@runtime_checkable
class Acting(Protocol):
    """A policy whose action is a point among the item embeddings."""

    def act(self, histories: Histories) -> Tensor:
        """π(s) of each history: (B, D)."""


def distances_between(distance: Distance, x: Tensor, y: Tensor) -> Tensor:
    """Distances (N, M) between the rows of x (N, D) and y (M, D), float64.

    Defined as in scipy, except for rows without direction (all zero; for correlation, all equal): their distance to every
    row is 1, where scipy has NaN. The Bray-Curtis distance of two zero rows is 0.
    """
    x, y = x.double(), y.double()
    match distance:
        case "euclidean":
            found = torch.cdist(x, y)
        case "cosine" | "correlation":
            if distance == "correlation":
                x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
            found = 1 - normalize(x, dim=1) @ normalize(y, dim=1).T
        case "canberra":
            from scipy.spatial.distance import cdist  # noqa: PLC0415  # a server needs it for this alone, and it takes 28 MiB

            found = torch.from_numpy(cdist(x.cpu().numpy(), y.cpu().numpy(), "canberra")).to(x.device)
        case "minkowski":
            found = sums_of_cubes(x, y).pow(1 / MINKOWSKI_P)
        case "chebyshev":
            found = torch.cdist(x, y, p=torch.inf)
        case "bray-curtis":  # Σ|x - y| / Σ|x + y|
            found = torch.cdist(x, y, p=1.0) / torch.cdist(x, -y, p=1.0).clamp_min(torch.finfo(x.dtype).tiny)
        case "manhattan":
            found = torch.cdist(x, y, p=1.0)
    return found


def sums_of_cubes(x: Tensor, y: Tensor) -> Tensor:
    """Σ |x - y|³ of the rows of x (N, D) and y (M, D): (N, M). `torch.cdist` computes a general power, 13 times slower."""

    def block(rows: Tensor, columns: Tensor) -> Tensor:
        apart = (rows.unsqueeze(1) - columns).abs_()
        return apart.square().mul_(apart).sum(2)

    return torch.cat([torch.cat([block(rows, part) for part in y.split(BLOCK)], 1) for rows in x.split(BLOCK)])


@dataclass(frozen=True)
class ByDistance:
    """Scores items by their distance to a policy's action.

    Attributes:
        policy: the policy.
        items: (I, D) embeddings.
        distance: to rank by.
    """

    policy: Acting
    items: Tensor
    distance: Distance

    def scores(self, histories: Histories) -> Tensor:
        """Minus the distance of each item to each history's action: (B, I) float32."""
        return -distances_between(self.distance, self.policy.act(histories), self.items).float()
