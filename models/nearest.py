"""Exact and fast search: the items nearest to an action, and the best k of any scores."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from models.errors import LearnerError

Similarity = Literal["cosine", "dot", "euclidean"]
GROUP = 32  # items per group; the k groups with the highest maxima hold the best k items


class NearestItems:
    """Items (I, D) prepared for one similarity measure, so that scores are one matrix product.

    Scores of actions a and items e, higher is nearer: cosine, cos(a, e); dot, a·e; euclidean, a·e - |e|²/2, which orders
    items as their distance does, since |a - e|² = |a|² - 2 (a·e - |e|²/2).
    """

    def __init__(self, items: Tensor, measure: Similarity) -> None:
        self.measure: Similarity = measure
        vectors = normalize(items, dim=1) if measure == "cosine" else items
        self.vectors = (
            vectors.T.contiguous().T
        )  # one coordinate after another: the product with one action takes a fifth
        self.offset = items.square().sum(1) / -2 if measure == "euclidean" else None

    def scores(self, actions: Tensor, out: Tensor | None = None) -> Tensor:
        """Scores (B, I) of actions (B, D), float32; written to `out` if given."""
        if self.measure == "cosine":
            actions = normalize(actions, dim=1)
        if self.offset is None:
            return torch.mm(actions, self.vectors.T, out=out)
        return torch.addmm(self.offset, actions, self.vectors.T, out=out)


def top_items(scores: Tensor, k: int) -> Tensor:
    """The places of the k highest scores of each row, (B, k) int64, highest first; of equal scores the smaller place first.

    Equals the first k columns of a stable descending sort, but faster: in rows whose k-th and (k+1)-th score differ, any
    top-k finds the right set; only the other rows are searched again.

    Raises:
        LearnerError: a score is NaN.
    """
    if k >= scores.shape[1]:
        ordered = scores.sort(dim=1, descending=True, stable=True)
        need_numbers(ordered.values[:, 0])
        return ordered.indices
    values, places = highest(scores, k + 1)
    need_numbers(values[:, 0])
    best = places[:, :k]
    tied = (values[:, k - 1] == values[:, k]).nonzero().squeeze(1)
    if len(tied):
        best[tied] = _highest_and_first(scores[tied], values[tied, k - 1 : k], k)
    best = best.sort(1).values
    order = scores.gather(1, best).sort(dim=1, descending=True, stable=True).indices
    return best.gather(1, order)


def without(scores: Tensor, items: Tensor) -> Tensor:
    """A copy of scores (B, I) that is -∞ at some items of each row, (B, L) int64, which are padded with -1."""
    copied = pad(scores, (0, 1))  # one more column takes the padding
    return copied.scatter_(1, items.where(items >= 0, scores.shape[1]), -torch.inf)[:, :-1]


def need_numbers(best: Tensor) -> None:
    """Refuse NaN among the rows' highest scores, (B,); NaN counts as the highest of a row.

    Raises:
        LearnerError: there is one.
    """
    if bool(best.isnan().any()):
        raise LearnerError(
            "scores: expected a number for every item; found NaN. Check whether the method has diverged."
        )


def ranks_of(scores: Tensor, places: Tensor, room: Tensor) -> Tensor:
    """Count the scores of each row before the one at its place in a stable descending sort: (B,) int64.

    Args:
        scores: (B, I) float32.
        places: (B,) int64.
        room: (B, I) float32, overwritten; used for counting, because sums of bool are several times slower.
    """
    own = scores.gather(1, places.unsqueeze(1))
    before = torch.gt(scores, own, out=room).sum(1).long()
    tied = (torch.eq(scores, own, out=room).sum(1) > 1).nonzero().squeeze(1)
    earlier = torch.arange(scores.shape[1], device=scores.device) < places[tied].unsqueeze(1)
    before[tied] += ((scores[tied] == own[tied]) & earlier).sum(1)
    return before


def highest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` highest scores of each row and their places, (B, count) each, highest first, in any order among equals.

    The `count` groups with the highest maxima hold the `count` highest scores: one pass over the scores leaves few
    candidates.
    """
    groups = scores.shape[1] // GROUP
    if groups <= 4 * count:
        return torch.topk(scores, count)
    whole = groups * GROUP
    maxima = scores[:, :whole].unflatten(1, (groups, GROUP)).amax(2)
    chosen = maxima.topk(count, sorted=False).indices
    within = torch.arange(GROUP, device=scores.device)
    places = (chosen.unsqueeze(2) * GROUP + within).flatten(1)
    rest = torch.arange(whole, scores.shape[1], device=scores.device).expand(len(scores), -1)
    places = torch.cat((places, rest), 1)
    values, order = scores.gather(1, places).topk(count)
    return values, places.gather(1, order)


def _highest_and_first(scores: Tensor, threshold: Tensor, k: int) -> Tensor:
    """The places (B, k) of all scores above a row's threshold (B, 1) and of the first ones equal to it."""
    items = scores.shape[1]
    first = torch.arange(items, 0, -1, device=scores.device)
    return ((scores > threshold) * (items + 1) + (scores == threshold) * first).topk(k).indices
