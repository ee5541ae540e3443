"""What lists are like besides right or wrong: how much of the catalogue they show, how evenly, how new, how varied."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from evaluation.protocols.metrics import KS, PerUser, mean_by_user
from evaluation.protocols.ranking import Ranked
from storage.dataset.reader import TransitionDataset

GROUPS = ("head", "middle", "tail", "cold")
HEAD, MIDDLE = 0.2, 0.8  # where in the training events, most rated items first, head and middle end
LISTS_AT_ONCE = 4096


@dataclass(frozen=True)
class ItemFacts:
    """What lists are judged by, all from training events.

    Legend of shapes: I items, and one more row that stands for no item
        events       (I,) int64            training events
        group        (I,) int64            place in GROUPS
        information  (I + 1,) float64      self-information in bits; 0
        unit         (I + 1, D) float32    embeddings of length 1; 0
    """

    events: NDArray[np.int64]
    group: NDArray[np.int64]
    information: NDArray[np.float64]
    unit: Tensor

    @classmethod
    def of(cls, dataset: TransitionDataset) -> Self:
        """Count training events and make the rest ready.

        An item of n out of N training events carries -log2 of (n + 1) / (N + I) bits (Vargas & Castells 2011, there
        without the 1, which gives items nobody rated a number too).
        """
        events = np.bincount(dataset.training_events()[1].cpu().numpy(), minlength=dataset.items)
        information = np.log2(events.sum() + len(events)) - np.log2(events + 1.0)
        unit = normalize(dataset.embedding.cpu(), dim=1)
        return cls(
            events, item_groups(events), np.append(information, 0.0), torch.cat((unit, torch.zeros_like(unit[:1])))
        )


def item_groups(events: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each item's place in GROUPS, (I,), by training events (I,).

    The most rated items that hold a fifth of all events are the head, the least rated that hold the last fifth the tail
    (Abdollahpouri et al. 2021); items without an event are cold.
    """
    order = np.argsort(-events, kind="stable")
    before = (np.cumsum(events[order]) - events[order]) / max(int(events.sum()), 1)
    group = np.empty(len(events), dtype=np.int64)
    group[order] = np.searchsorted((HEAD, MIDDLE), before, side="right")
    group[events == 0] = GROUPS.index("cold")
    return group


def coverage(best: NDArray[np.int64], catalogue: int) -> float:
    """The share of the catalogue that is in any of the lists (T, k); -1 is no item."""
    return len(np.unique(best[best >= 0])) / catalogue


def exposure(best: NDArray[np.int64], catalogue: int) -> NDArray[np.int64]:
    """How many of the lists (T, k) show each item: (I,)."""
    return np.bincount(best.ravel() + 1, minlength=catalogue + 1)[1:]


def gini(shown: NDArray[np.int64]) -> float:
    """How unevenly items (I,) are shown: 0, all alike; near 1, one alone. NaN where nothing is shown.

    Σᵢ (2i - I - 1) xᵢ / (I Σ x) of ascending x, i from 1 (the mean difference of two items over twice the mean).
    """
    ascending = np.sort(shown).astype(float)
    weights = 2 * np.arange(1, len(shown) + 1) - len(shown) - 1
    total = ascending.sum()
    return float(weights @ ascending / (len(shown) * total)) if total else float("nan")


def catalogue_metrics(best: NDArray[np.int64], catalogue: int, ks: Sequence[int] = KS) -> dict[str, float]:
    """`coverage@k` and `gini@k` of lists (T, depth), for every k up to depth."""
    shown = np.zeros(catalogue, dtype=np.int64)
    found: dict[str, float] = {}
    for begin, k in pairwise((0, *_within(ks, best))):
        shown += exposure(best[:, begin:k], catalogue)
        found |= {f"coverage@{k}": float((shown > 0).mean()), f"gini@{k}": gini(shown)}
    return found


def lists_per_user(ranked: Ranked, items: ItemFacts, ks: Sequence[int] = KS) -> PerUser:
    """`novelty@k` and `ild@k`, the mean over a user's lists, for every k up to depth.

    `novelty@k` is the mean self-information of the first k items in bits, `ild@k` (for k > 1) the mean cosine distance of
    two of them, from the length of the sum of their unit vectors: Σ_{a≠b} a·b = |Σ a|² - Σ |a|².
    """
    ks = _within(ks, ranked.best)
    parts = [_of_lists(ranked.best[rows : rows + LISTS_AT_ONCE], items, ks) for rows in _starts(len(ranked.best))]
    novelty, ild = (np.concatenate(part) for part in zip(*parts, strict=True)) if parts else np.empty((2, 0, len(ks)))
    columns = {f"novelty@{k}": novelty[:, place] for place, k in enumerate(ks)}
    columns |= {f"ild@{k}": ild[:, place] for place, k in enumerate(ks) if k > 1}
    return mean_by_user(ranked.users, columns)


def _of_lists(
    best: NDArray[np.int64], items: ItemFacts, ks: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Novelty and intra-list diversity (T, len(ks)) of lists (T, depth); NaN where a list is too short to have one."""
    listed = np.where(best[:, : ks[-1]] < 0, len(items.events), best[:, : ks[-1]])
    there = np.cumsum(listed < len(items.events), axis=1)[:, [k - 1 for k in ks]]
    information = np.cumsum(items.information[listed], axis=1)[:, [k - 1 for k in ks]]
    begins = torch.tensor([0, *ks[:-1]])
    places = torch.from_numpy(listed)
    bags = (torch.arange(len(listed)).unsqueeze(1) * ks[-1] + begins).flatten()
    sums = embedding_bag(places.flatten(), items.unit, bags, mode="sum").unflatten(0, (len(listed), len(ks)))
    own = items.unit.square().sum(1)[places].cumsum(1)[:, [k - 1 for k in ks]]
    alike = (sums.cumsum(1).square().sum(2) - own).double().numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        return information / np.where(there > 0, there, np.nan), 1 - alike / np.where(
            there > 1, there * (there - 1), np.nan
        )


def _within(ks: Sequence[int], best: NDArray[np.int64]) -> list[int]:
    return [k for k in ks if k <= best.shape[1]]


def _starts(lists: int) -> range:
    return range(0, lists, LISTS_AT_ONCE)
