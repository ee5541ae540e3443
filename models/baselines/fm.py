"""A factorisation machine (Rendle 2010) of the candidate item, its features and the user's recent items."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy, embedding, normalize

from models.baselines.descent import BatchSize, Descent, Epochs, LearningRate
from models.baselines.entry import BaselineEntry
from models.baselines.recency import RECENCY, Recency
from models.baselines.training import TrainingData
from models.histories import Histories
from models.threads import one_thread


class FmConfig(Descent):
    """Size and training of the machine, and how much of a history counts; [2010] is the paper."""

    factors: int = Field(32, ge=1, le=1024, description="k, the width of a variable's vector [2010].")
    window: int = Field(10, ge=1, le=1000, description="Events before a training event that are its recent items.")
    window_decay: float = Field(0.6, gt=0, le=1, description="Weight of one relative to that of the next later one.")
    negatives: int = Field(1000, ge=1, le=100_000, description="Drawn items that a batch's next items compete with.")
    epochs: Epochs = 10
    batch: BatchSize = 512
    learning_rate: LearningRate = 0.005
    weight_decay: float = Field(
        0.001, ge=0, le=10, description="Weight decay of AdamW, as a share of the learning rate."
    )


class FactorisationMachine(NamedTuple):
    """The parameters of a machine over three groups of variables: candidate item, its features, recent items.

    A global weight and the weights of recent items are left out: they are the same for every candidate. So are the products
    of two recent items.

    Legend of shapes: I items, D features
        item_weights     (I,)   float32
        feature_weights  (D,)   float32
        items            (I, k) float32
        features         (D, k) float32
        recent           (I, k) float32
    """

    item_weights: Tensor
    feature_weights: Tensor
    items: Tensor
    features: Tensor
    recent: Tensor

    def candidates(self, rows: Tensor, embedding_rows: Tensor) -> tuple[Tensor, Tensor]:
        """What the scores of C items `rows` with features e, (C, D), need of them: (C,) and (C, k).

        An item's own variables sum to s_i = v_i + Σ_d e_id v_d. Their pairs are ½ Σ_f (s_if² - v_if² - Σ_d e_id² v_df²), in
        linear time by [2010, lemma 3.1]. With recent items x_j the score is the first result plus s_i · Σ_j x_j u_j.
        """
        own = embedding(rows, self.items)
        ends = own + embedding_rows @ self.features
        squares = own.square().sum(1) + embedding_rows.square() @ self.features.square().sum(1)
        linear = embedding(rows, self.item_weights.unsqueeze(1)).squeeze(1) + embedding_rows @ self.feature_weights
        return linear + 0.5 * (ends.square().sum(1) - squares), ends


@dataclass(frozen=True)
class Fm:
    """Scores items by the machine, whose recent items are the history's, with recency weights that sum to 1.

    Legend of shapes:
        alone    (I,)   float32, the part of an item's score that is the same for every history
        vectors  (I, k) float32
        recent   (I, k) float32
    """

    alone: Tensor
    vectors: Tensor
    recent: Tensor
    recency: Recency

    def scores(self, histories: Histories) -> Tensor:
        """Scores (B, I), k multiplications per item and history; also of items without training events, by their features."""
        weights = self.recency.weights(histories, len(self.recent))
        context = normalize(weights, p=1, dim=1) @ self.recent
        scores: Tensor = self.alone + context @ self.vectors.T
        return scores


def recent_items(data: TrainingData, events: Tensor, first: Tensor, config: FmConfig) -> tuple[Tensor, Tensor]:
    """The `window` events of the same user before each of `events` (B,), and their weights, which sum to 1 or are all 0.

    Args:
        data: of the events.
        events: (B,) int64.
        first: (N,) int64, the first event of each event's user.
        config: of the window.

    Returns: items (B, window) int64 and weights (B, window) float32, newest last.
    """
    back = torch.arange(config.window, 0, -1, device=events.device)
    before = events.unsqueeze(1) - back
    there = before >= first[events].unsqueeze(1)
    weights = config.window_decay ** (back - 1).float() * there
    return data.items[before.clamp_min(0)], normalize(weights, p=1, dim=1)


def loss(machine: FactorisationMachine, unit: Tensor, context: Tensor, targets: Tensor, others: Tensor) -> Tensor:
    """Mean -log softmax of each event's item among itself and the drawn items: 0-d.

    Args:
        machine: the parameters.
        unit: (I, D) features of all items.
        context: (B, k), Σ_j x_j u_j of the recent items.
        targets: (B,) int64.
        others: (C,) int64, all different.
    """
    alone, ends = machine.candidates(targets, unit[targets])
    own = alone + (ends * context).sum(1)
    alone, ends = machine.candidates(others, unit[others])
    rest = torch.addmm(alone, context, ends.T).masked_fill(others == targets.unsqueeze(1), -torch.inf)
    logits = torch.cat((own.unsqueeze(1), rest), dim=1)
    return cross_entropy(logits, torch.zeros_like(targets))


@one_thread()
def fit_fm(config: FmConfig, data: TrainingData) -> Fm:
    """Descend the cross-entropy of each training event's item among drawn items, given the events before it.

    A ranking loss, because the question is which item comes next: a squared loss of ratings says nothing of the items that a
    user did not rate. An epoch costs about events × negatives × k multiplications.
    """
    device, generator = data.items.device, torch.Generator().manual_seed(config.seed)
    _, number = torch.unique_consecutive(data.users, return_counts=True)
    first = (number.cumsum(0) - number).repeat_interleave(number)
    trained = data.counts > 0
    possible = trained.nonzero().squeeze(1)
    unit = normalize(data.embedding, dim=1)

    def drawn(*shape: int) -> Tensor:
        return 0.02 * torch.randn(shape, generator=generator).to(device)

    count, width = unit.shape
    machine = FactorisationMachine(
        torch.zeros(count, device=device), torch.zeros(width, device=device),
        drawn(count, config.factors), drawn(width, config.factors), drawn(count, config.factors),
    )  # fmt: skip
    for parameter in machine:
        parameter.requires_grad_()
    optimiser = torch.optim.AdamW(machine, lr=config.learning_rate, weight_decay=config.weight_decay)
    for events in config.batches(len(first), generator, device):
        others = possible[torch.randperm(len(possible), generator=generator)[: config.negatives].to(device)]
        items, weights = recent_items(data, events, first, config)
        context = (embedding(items, machine.recent) * weights.unsqueeze(2)).sum(1)
        optimiser.zero_grad()
        loss(machine, unit, context, data.items[events], others).backward()
        optimiser.step()
    machine = FactorisationMachine(*(parameter.detach() for parameter in machine))
    known = machine._replace(
        item_weights=machine.item_weights * trained,
        items=machine.items * trained.unsqueeze(1),
        recent=machine.recent * trained.unsqueeze(1),
    )
    alone, vectors = known.candidates(torch.arange(count, device=device), unit)
    return Fm(alone, vectors, known.recent, config)


ENTRY = BaselineEntry(
    "fm",
    FmConfig,
    fit_fm,
    by_default=False,
    summary="Factorisation machine of an item, its embedding and the recent items, trained to rank the next item.",
    paper="Rendle 2010",
    grid={"epochs": (10, 20), "window_decay": (0.6, 0.8)} | RECENCY,
)
