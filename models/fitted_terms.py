"""The terms of a ranking policy's score that are fitted in closed form, before training."""

from math import ceil
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from models.baselines.item_to_item import ItemToItem, sums_of_rows
from models.baselines.recency import Recency
from models.baselines.training import TrainingData
from models.histories import Histories
from models.ranking_policy_config import RankingPolicyConfig

FittedTerm = Literal["transitions", "associations", "content", "taste"]
WHOLE = Recency(last=None)  # all events alike
RECENT = 0.1  # of the training events, the latest


class TrainingCatalogue(NamedTuple):
    """What is known of the I items before training, from training events alone; M of them have rows in the kernels.

    embedding (I, D); counts, recent (I,), all training events and the latest tenth of them; items (M,) ascending item
    indices; transitions, associations (M, M), from row to column; largest_reward: the largest absolute reward there can be.
    """

    embedding: Tensor
    counts: Tensor
    recent: Tensor
    items: Tensor
    transitions: Tensor
    associations: Tensor
    largest_reward: float


class LogCounts(NamedTuple):
    """How often each item was rated in training, as log(1 + number), (I,): all events, and the latest."""

    log_count: Tensor
    log_recent: Tensor

    @property
    def cold(self) -> Tensor:
        """The items without training events: (I,) bool."""
        return self.log_count == 0


def counts_of(data: TrainingData, until: int | None = None) -> tuple[Tensor, Tensor]:
    """Count the training events of each item: all, and the latest tenth of them, (I,) int64 each.

    Args:
        data: the training events.
        until: unix seconds after which events are left out; None: none is.
    """
    order = torch.argsort(data.times, stable=True)
    if until is not None:
        order = order[: int((data.times <= until).sum())]
    latest = order[len(order) - ceil(RECENT * len(order)) :]
    all_counts, recent = (torch.bincount(data.items[events], minlength=data.catalogue) for events in (order, latest))
    return all_counts, recent


class FittedTerms(nn.Module):
    """The fitted terms of the scores of I items, from a history with the item j_k rated k events before its latest one.

    transitions   √Σ_k x^k K[j_k, i] with the sign of the sum; K says which item follows which (`transition_kernel`)
    associations  Σ_k B[j_k, i] over the whole history; B says which items the same users rated (EASE, Steck 2019)
    content       Σ_k y^k e_{j_k}·e_i
    taste         the mean of e_{j_k}·e_i over the whole history

    The first and the third know the latest L events. Items without a row in the kernels score 0 in the first two.
    """

    items: Tensor
    transitions: Tensor
    associations: Tensor

    def __init__(self, config: RankingPolicyConfig, catalogue: TrainingCatalogue) -> None:
        super().__init__()
        self.recency: dict[FittedTerm, Recency] = {
            "transitions": Recency(last=config.length, decay=config.transitions_decay),
            "associations": WHOLE,
            "content": Recency(last=config.length, decay=config.content_decay),
            "taste": WHOLE,
        }
        for name in ("items", "transitions", "associations"):
            self.register_buffer(name, getattr(catalogue, name), persistent=False)

    def scores(self, term: FittedTerm, histories: Histories, unit: Tensor) -> Tensor:
        """One term of all items, whose embeddings of length 1 are unit (I, D): (B, I)."""
        recency = self.recency[term]
        if term in ("content", "taste"):
            items, weight = recency.event_weights(histories, len(unit))
            if term == "taste":
                weight = weight / weight.sum(1, keepdim=True).clamp_min(1)
            return sums_of_rows(unit, items, weight) @ unit.T
        kernel = ItemToItem(getattr(self, term), self.items, len(unit), recency)
        sums = kernel.sums(histories)
        if term == "transitions":  # whose sums are heavy-tailed
            sums = sums.sign() * sums.abs().sqrt()
        return kernel.spread(sums)
