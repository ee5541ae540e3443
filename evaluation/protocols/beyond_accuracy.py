"""What recommendation lists are like besides accuracy: catalogue coverage, exposure, novelty, diversity; popularity groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from evaluation.protocols.cases import Cases
from storage.dataset.histories import rows_of
from storage.dataset.reader import TransitionDataset

GROUPS = ("head", "middle", "tail", "cold")
# Cumulative shares of the training events, most rated items first, at which head and middle end.
HEAD, MIDDLE = (0.2, 0.8)


@dataclass(frozen=True)
class ItemFacts:
    """What the training events say of each item.

    Legend of shapes: I items, and one more row for "no item" where the first dimension is I + 1
        events       (I,) int64            number of training events
        group        (I,) int64            index in GROUPS
        information  (I + 1,) float64      self-information in bits; 0 for no item
        unit         (I + 1, D) float32    embeddings scaled to length 1; 0 for no item
    """

    events: NDArray[np.int64]
    group: NDArray[np.int64]
    information: NDArray[np.float64]
    unit: Tensor

    @classmethod
    def of(cls, dataset: TransitionDataset) -> Self:
        """Count the training events of a dataset.

        An item with n of N training events has a self-information of -log2((n + 1) / (N + I)) bits (Vargas & Castells 2011;
        the added 1 gives items without events a finite value).
        """
        events = np.bincount(dataset.training_events()[1].cpu().numpy(), minlength=dataset.items)
        information = np.log2(events.sum() + len(events)) - np.log2(events + 1.0)
        unit = normalize(dataset.embedding.cpu(), dim=1)
        return cls(
            events, item_groups(events), np.append(information, 0.0), torch.cat((unit, torch.zeros_like(unit[:1])))
        )


def item_groups(events: NDArray[np.int64]) -> NDArray[np.int64]:
    """The index in GROUPS of each item, (I,), from its number of training events (I,).

    The most rated items that hold a fifth of all events are the head, the least rated items that hold the last fifth the tail
    (Abdollahpouri et al. 2021); items without events are cold.
    """
    order = np.argsort(-events, kind="stable")
    before = (np.cumsum(events[order]) - events[order]) / max(int(events.sum()), 1)
    group = np.empty(len(events), dtype=np.int64)
    group[order] = np.searchsorted((HEAD, MIDDLE), before, side="right")
    group[events == 0] = GROUPS.index("cold")
    return group


def exposure(best: NDArray[np.int64], catalogue: int) -> NDArray[np.int64]:
    """How many of the lists (T, k) show each item: (I,). -1 is no item."""
    return np.bincount(best.ravel() + 1, minlength=catalogue + 1)[1:]


def exposed_share(exposed: NDArray[np.int64]) -> float:
    """The share of the items that are in any list, from their exposure (I,)."""
    return float((exposed > 0).mean())


def coverage(best: NDArray[np.int64], catalogue: int) -> float:
    """The share of the catalogue that is in any of the lists (T, k); -1 is no item."""
    return exposed_share(exposure(best, catalogue))


def gini(exposed: NDArray[np.int64]) -> float:
    """The Gini coefficient of the exposure (I,): 0 if all items are shown equally often, near 1 if one item is; NaN if none is.

    Σᵢ (2i - I - 1) xᵢ / (I Σ x) of ascending x, i from 1 (the mean difference of two items over twice the mean).
    """
    ascending = np.sort(exposed).astype(float)
    weights = 2 * np.arange(1, len(exposed) + 1) - len(exposed) - 1
    total = ascending.sum()
    return float(weights @ ascending / (len(exposed) * total)) if total else float("nan")


def novelty(best: NDArray[np.int64], items: ItemFacts, ks: Sequence[int]) -> NDArray[np.float64]:
    """The mean self-information in bits of the first k items of each list (T, depth): (T, len(ks)); NaN for an empty list."""
    listed, number = _listed(best, items, ks)
    information = np.cumsum(items.information[listed], axis=1)[:, [k - 1 for k in ks]]
    return np.asarray(information / np.where(number > 0, number, np.nan))


def intra_list_diversity(best: NDArray[np.int64], items: ItemFacts, ks: Sequence[int]) -> NDArray[np.float64]:
    """The mean cosine distance of two of the first k items of each list (T, depth): (T, len(ks)); NaN for fewer than two.

    Computed from the length of the sum of the unit vectors: Σ_{a≠b} a·b = |Σ a|² - Σ |a|².
    """
    listed, number = _listed(best, items, ks)
    begins = torch.tensor([0, *ks[:-1]])
    places = torch.from_numpy(listed)
    bags = (torch.arange(len(listed)).unsqueeze(1) * ks[-1] + begins).flatten()
    sums = embedding_bag(places.flatten(), items.unit, bags, mode="sum").unflatten(0, (len(listed), len(ks)))
    own = items.unit.square().sum(1)[places].cumsum(1)[:, [k - 1 for k in ks]]
    similarity = (sums.cumsum(1).square().sum(2) - own).double().numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 - similarity / np.where(number > 1, number * (number - 1), np.nan))


def later_ratings(
    dataset: TransitionDataset, cases: Cases, best: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The ratings, in stars, that users gave after a case to items of its list.

    Args:
        dataset: of the cases.
        cases: T cases whose known events are those of one user up to a time, as of next items.
        best: (T, depth) their lists; -1 is no item.

    Returns:
        the case (N,) and the rating (N,) of each such event.
    """
    begin = cases.known[:, 1].cpu().numpy()
    number = dataset.offset.cpu().numpy()[cases.users.cpu().numpy() + 1] - begin
    case = np.repeat(np.arange(len(begin)), number)
    event = rows_of(begin, number)
    items = dataset.item.cpu().numpy()[event].astype(np.int64)
    listed = np.where(best >= 0, np.arange(len(best))[:, None] * dataset.items + best, -1)
    found = np.isin(case * dataset.items + items, listed)
    code = dataset.rating_code.cpu().numpy()[event[found]]
    return case[found], dataset.scale.ratings()[code]


def _listed(
    best: NDArray[np.int64], items: ItemFacts, ks: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lists (T, max(ks)) with I in the place of -1, and how many items the first k of them hold, (T, len(ks))."""
    listed = np.where(best[:, : ks[-1]] < 0, len(items.events), best[:, : ks[-1]])
    held = np.cumsum(listed < len(items.events), axis=1)[:, [k - 1 for k in ks]].astype(np.int64)
    return listed, held
